"""A format of its own for gaffer export: what runs, a line for each process."""

from gaffer.api import Export, Exporter, File


def export(app):
    lines = [f"{name}\t{' '.join(job.argv(env))}\n" for name, job, env in app.processes()]
    notes = [f"{job.name}: flapping is left out" for job in app.jobs if job.config.flapping]
    return Export([File(f"{app.name}.txt", "".join(lines))], notes)


def gaffer_exporters():
    return [Exporter("names", "names and commands of all processes", export)]
