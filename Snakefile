"""The series as a graph: notebook -> executed notebook -> report.

`make report` is the usual way in; on a cluster, see the README. Called directly:
    snakemake --cores all --config profile=short
"""

import sys

from scene_utils.report import series
from scene_utils.support import settings

profile = settings.profile(config.get("profile"))
seed = int(config.get("seed", 0))
gpu = bool(int(config.get("gpu", 0)))  # whether there is one on this machine, for one notebook at a time
project = settings.project_dir()
place = series.folder(profile, seed)
place.mkdir(parents=True, exist_ok=True)
names = series.notebooks()
targets = expand("notebooks/{name}.ipynb", name=[n for n in names if n != series.REPORT])
if series.REPORT in names:
    targets += ["report.md", *(f"report{suffix}.html" for suffix in series.report_languages())]


workdir: str(place)


def name_of(wildcards):
    """A notebook's name, without the language that it is executed in."""
    return wildcards.name.partition(".")[0]


def executed_inputs(wildcards):
    """A notebook, what it builds on and imports; the report also follows the records."""
    name = name_of(wildcards)
    inputs = [project / "notebooks" / f"{name}.ipynb", *series.sources(name)]
    inputs += [f"notebooks/{other}.ipynb" for other in series.depends(name)]
    return inputs + (series.record_files(profile) if name == series.REPORT else [])


rule all:
    default_target: True
    input:
        targets,


rule execute:
    input:
        executed_inputs,
    output:
        "notebooks/{name}.ipynb",
    params:
        state=series.data_state(),
    priority: lambda wildcards: series.priority(name_of(wildcards))
    threads: int(config.get("threads", 1))
    resources:
        mem_mb=3000 if profile == "sample" else 8000,
        **({"gpu": 1} if gpu else {}),
    shell:
        "OMP_NUM_THREADS={threads} {sys.executable:q} -m scene_utils execute {wildcards.name:q} {output:q}"
        " --profile {profile:q} --seed {seed}"


rule pages:
    input:
        f"notebooks/{series.REPORT}.ipynb",
        series.page_sources(),
    output:
        "report.html",
        "report.md",
    shell:
        "{sys.executable:q} -m scene_utils page {input[0]:q} {output:q}"


rule translated_page:
    input:
        f"notebooks/{series.REPORT}.{{language}}.ipynb",
        series.page_sources(),
    output:
        "report.{language}.html",
    shell:
        "{sys.executable:q} -m scene_utils page {input[0]:q} {output:q}"
