"""Names for plugins and exporters, beside those right below ``gaffer``: supervision, configuration, events.

Names are imported when they are first used (PEP 562). ``docs/python.rst`` describes each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import lazy_names

if TYPE_CHECKING:  # what __getattr__ finds, for tools that read the types
    from gaffer.commands.identity import ADMIN as ADMIN
    from gaffer.commands.identity import LOCAL as LOCAL
    from gaffer.commands.identity import MOST_TARGETS as MOST_TARGETS
    from gaffer.commands.identity import Resource as Resource
    from gaffer.commands.identity import of_job as of_job
    from gaffer.config.addresses import UNIX as UNIX
    from gaffer.config.addresses import format_address as format_address
    from gaffer.config.dependencies import CONDITIONS as CONDITIONS
    from gaffer.config.dependencies import EVERY as EVERY
    from gaffer.config.dependencies import Dependency as Dependency
    from gaffer.config.dependencies import find_circles as find_circles
    from gaffer.config.dependencies import parse_dependency as parse_dependency
    from gaffer.config.fields import Bool as Bool
    from gaffer.config.fields import Choice as Choice
    from gaffer.config.fields import Environment as Environment
    from gaffer.config.fields import Field as Field
    from gaffer.config.fields import Int as Int
    from gaffer.config.fields import Kind as Kind
    from gaffer.config.fields import OptionalText as OptionalText
    from gaffer.config.fields import Seconds as Seconds
    from gaffer.config.fields import TextList as TextList
    from gaffer.config.fields import Words as Words
    from gaffer.config.ini_section import can_name_variable as can_name_variable
    from gaffer.config.ini_section import ini_command as ini_command
    from gaffer.config.ini_section import ini_section as ini_section
    from gaffer.config.ini_section import ini_value as ini_value
    from gaffer.config.jobconfig import RESERVED_LABELS as RESERVED_LABELS
    from gaffer.config.jobconfig import JobFields as JobFields
    from gaffer.config.names import CONTROL_CHARACTER as CONTROL_CHARACTER
    from gaffer.config.names import VARIABLE_NAME as VARIABLE_NAME
    from gaffer.config.names import JobName as JobName
    from gaffer.config.names import check_name as check_name
    from gaffer.config.names import parse_job_name as parse_job_name
    from gaffer.config.options import Options as Options
    from gaffer.config.paths import FilePath as FilePath
    from gaffer.config.paths import expand_home as expand_home
    from gaffer.config.settings import Endpoint as Endpoint
    from gaffer.config.settings import Section as Section
    from gaffer.config.settings import Settings as Settings
    from gaffer.config.settings import Value as Value
    from gaffer.config.settings import option as option
    from gaffer.errors import BadRequest as BadRequest
    from gaffer.errors import ConfigError as ConfigError
    from gaffer.errors import Conflict as Conflict
    from gaffer.errors import Forbidden as Forbidden
    from gaffer.errors import GafferError as GafferError
    from gaffer.errors import InvalidConfig as InvalidConfig
    from gaffer.errors import IONotRedirected as IONotRedirected
    from gaffer.errors import MethodNotAllowed as MethodNotAllowed
    from gaffer.errors import NotFound as NotFound
    from gaffer.errors import PluginError as PluginError
    from gaffer.errors import Problem as Problem
    from gaffer.errors import TooLarge as TooLarge
    from gaffer.errors import TooManyRequests as TooManyRequests
    from gaffer.errors import Unauthorized as Unauthorized
    from gaffer.errors import Unavailable as Unavailable
    from gaffer.errors import nearest as nearest
    from gaffer.events.event_log import EventLog as EventLog
    from gaffer.events.patterns import ALL as ALL
    from gaffer.events.patterns import EVENTS as EVENTS
    from gaffer.events.patterns import ancestors as ancestors
    from gaffer.events.patterns import normalise as normalise
    from gaffer.events.patterns import problem_of as problem_of
    from gaffer.events.unpatched import native as native
    from gaffer.manager.reconcile import check_variables as check_variables
    from gaffer.plugins.calling import Hooks as Hooks
    from gaffer.plugins.calling import named_call as named_call
    from gaffer.process.exit_status import ExitStatus as ExitStatus
    from gaffer.process.process import OutputListener as OutputListener
    from gaffer.process.process import Process as Process
    from gaffer.process.process import ProcessConfig as ProcessConfig
    from gaffer.process.ring_buffer import GROWN_SIZE as GROWN_SIZE
    from gaffer.process.ring_buffer import GROWN_TOTAL as GROWN_TOTAL
    from gaffer.process.ring_buffer import RING_SIZE as RING_SIZE
    from gaffer.process.ring_buffer import Cursor as Cursor
    from gaffer.process.ring_buffer import Ring as Ring
    from gaffer.process.sampler import ProcessWatcher as ProcessWatcher
    from gaffer.process.sink_worker import Sink as Sink
    from gaffer.process.spawn import SpawnPlan as SpawnPlan
    from gaffer.process.streams import Writer as Writer
    from gaffer.procfile.application import read_application as read_application
    from gaffer.procfile.export import Application as Application
    from gaffer.procfile.export import Export as Export
    from gaffer.procfile.export import Exporter as Exporter
    from gaffer.procfile.export import ExportJob as ExportJob
    from gaffer.procfile.export import File as File
    from gaffer.procfile.export import command_line as command_line
    from gaffer.procfile.export import job_name as job_name
    from gaffer.procfile.export import with_variables as with_variables
    from gaffer.procfile.naming import find_procfile as find_procfile
    from gaffer.security import trusted_files as trusted_files
    from gaffer.security.inherited_environment import withhold as withhold
    from gaffer.security.log_rate_limit import Bounded as Bounded
    from gaffer.security.metered_socket import Meter as Meter
    from gaffer.security.metered_socket import Metered as Metered
    from gaffer.security.metered_socket import TooMuch as TooMuch
    from gaffer.security.redact_text import HIDDEN as HIDDEN
    from gaffer.security.trusted_files import SharedFile as SharedFile
    from gaffer.security.trusted_files import check_read as check_read
    from gaffer.security.trusted_files import open_file as open_file
    from gaffer.service.resolver import Resolver as Resolver
    from gaffer.service.thread_writer import ThreadWriter as ThreadWriter
    from gaffer.service.thread_writer import start_thread as start_thread
    from gaffer.supervisor.job import Job as Job
    from gaffer.supervisor.restart_policy import After as After
    from gaffer.supervisor.restart_policy import Done as Done
    from gaffer.supervisor.restart_policy import GiveUp as GiveUp
    from gaffer.supervisor.restart_policy import History as History
    from gaffer.supervisor.restart_policy import Now as Now

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "commands.identity": "ADMIN LOCAL MOST_TARGETS Resource of_job",
        "config.addresses": "UNIX format_address",
        "config.dependencies": "CONDITIONS Dependency EVERY find_circles parse_dependency",
        "config.fields": "Bool Choice Environment Field Int Kind OptionalText Seconds TextList Words",
        "config.ini_section": "can_name_variable ini_command ini_section ini_value",
        "config.jobconfig": "JobFields RESERVED_LABELS",
        "config.names": "CONTROL_CHARACTER VARIABLE_NAME JobName check_name parse_job_name",
        "config.options": "Options",
        "config.paths": "FilePath expand_home",
        "config.settings": "Endpoint Section Settings Value option",
        "errors": (
            "BadRequest ConfigError Conflict Forbidden GafferError IONotRedirected InvalidConfig MethodNotAllowed "
            "NotFound PluginError Problem TooLarge TooManyRequests Unauthorized Unavailable nearest"
        ),
        "events.event_log": "EventLog",
        "events.patterns": "ALL EVENTS ancestors normalise problem_of",
        "events.unpatched": "native",
        "manager.reconcile": "check_variables",
        "plugins.calling": "Hooks named_call",
        "process.exit_status": "ExitStatus",
        "process.process": "OutputListener Process ProcessConfig",
        "process.ring_buffer": "Cursor GROWN_SIZE GROWN_TOTAL RING_SIZE Ring",
        "process.spawn": "SpawnPlan",
        "process.sampler": "ProcessWatcher",
        "process.sink_worker": "Sink",
        "process.streams": "Writer",
        "procfile.application": "read_application",
        "procfile.export": "Application Export ExportJob Exporter File command_line job_name with_variables",
        "procfile.naming": "find_procfile",
        "security.log_rate_limit": "Bounded",
        "security.metered_socket": "Meter Metered TooMuch",
        "security.redact_text": "HIDDEN",
        "security.inherited_environment": "withhold",
        "security.trusted_files": "SharedFile check_read open_file",
        "security.trusted_files:": "trusted_files",
        "service.resolver": "Resolver",
        "service.thread_writer": "ThreadWriter start_thread",
        "supervisor.job": "Job",
        "supervisor.restart_policy": "After Done GiveUp History Now",
    },
)
