"""Jobs from the ini file: [process:NAME] or [job:SESSION:NAME], and their [env:NAME]."""

from __future__ import annotations

from typing import Any

from gaffer import JobConfig, hookimpl
from gaffer.api import (
    BadRequest,
    ConfigError,
    Environment,
    InvalidConfig,
    JobFields,
    JobName,
    Problem,
    Section,
    Settings,
    Value,
    Words,
    check_variables,
    nearest,
    parse_job_name,
)


@hookimpl
def gaffer_check_config(settings: Settings, fields: JobFields) -> list[Problem]:
    return _Reader(settings, fields).problems


@hookimpl
def gaffer_load_jobs(settings: Settings | None, fields: JobFields) -> list[JobConfig]:
    if settings is None:
        return []
    found = _Reader(settings, fields)
    if found.problems:
        raise ConfigError(found.problems)
    return found.jobs


#: What a command, and the variables in it, depend on …
_COMMAND = {"cmd", "args", "shell", "env", "env_file", "os_env", "cwd", "port"}
#: … beside those that an existing user brings along.
_ACCOUNT = {"HOME": "", "USER": "", "LOGNAME": ""}


class _Reader:
    """All jobs of the settings, and all that is wrong with them."""

    def __init__(self, settings: Settings, fields: JobFields) -> None:
        self.problems: list[Problem] = []
        self.jobs: list[JobConfig] = []
        self._fields = fields
        sections = self._by_job(settings.sections("process", "job"))
        environments = self._by_job(settings.sections("env"))
        for job_name, section in environments.items():
            if job_name not in sections:
                known = nearest(job_name.short, [known.short for known in sections])
                self._complain(section, f"there is no job '{job_name}' that this could be the environment of{known}")
        for job_name, section in sections.items():
            self._read_job(job_name, section, environments.get(job_name))

    def _complain(self, section: Section, message: str, key: str = "") -> None:
        self.problems.append(section.problem(message, key))

    def _by_job(self, sections: list[Section]) -> dict[JobName, Section]:
        found: dict[JobName, Section] = {}
        for section in sections:
            try:
                job_name = parse_job_name(section.name)
            except BadRequest as error:
                # A header without any name is the settings' problem already.
                if section.name:
                    self._complain(section, str(error))
                continue
            first = found.setdefault(job_name, section)
            if first is not section:
                what = "the environment of job" if section.kind == "env" else "job"
                where = f"{first.file}:{first.line}"
                self._complain(section, f"{what} '{job_name}' is defined a second time; the first is at {where}")
        return found

    def _read_job(self, job_name: JobName, section: Section, environment: Section | None) -> None:
        values: dict[str, Any] = {"name": job_name.full, **self._read_values(section)}
        wrong = section.items.keys() - values.keys()
        if environment is not None:
            before = len(self.problems)
            values["env"] = self._read_environment(environment)
            if len(self.problems) > before:
                wrong.add("env")
        if "uid" in wrong:
            values["env"] = {**_ACCOUNT, **values.get("env", {})}
        if not wrong & _COMMAND:
            self._make_job(section, values, bool(wrong))
        elif "cmd" not in section.items:  # and whether its variables are known cannot be told
            self._complain(section, "cmd: required")

    def _read_values(self, section: Section) -> dict[str, Any]:
        """Return the settings that can be read; complain about the others."""
        values = {}
        for key, value in section.items.items():
            try:
                values[key] = self._parse(key, value)
            except ValueError as error:
                self._complain(section, str(error), key)
        return values

    def _make_job(self, section: Section, values: dict[str, Any], incomplete: bool) -> None:
        """Keep the job, unless settings are missing that could not be read: then it is only looked at."""
        try:
            config = JobConfig.from_dict(values, self._fields)
            check_variables(config)
        except InvalidConfig as error:
            for message in error.problems:
                self._complain(section, message, message.partition(":")[0])
        else:
            if not incomplete:
                self.jobs.append(config)

    def _parse(self, key: str, value: Value) -> Any:
        field = self._fields.get(key)
        if field is None:
            raise ValueError(self._fields.unknown(key))
        if key == "name":
            raise ValueError("name: a job's name stands in the header of its section")
        # Command lines keep their quotes: the shell's rules apply to them.
        text = value.raw if key == "cmd" or isinstance(field.kind, Words) else value.text
        try:
            return field.kind.parse(text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error

    def _read_environment(self, section: Section) -> dict[str, str]:
        env: dict[str, str] = {}
        for key, value in section.items.items():
            upper = key.upper()
            if upper in env:
                self._complain(section, f"{upper} is set a second time; upper and lower case are the same here", key)
            try:
                env.update(Environment().check({upper: value.text}))
            except ValueError as error:
                self._complain(section, str(error), key)
        return env
