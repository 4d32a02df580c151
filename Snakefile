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


workdir: str(place)


def executed_inputs(wildcards):
    """A notebook, what it builds on and imports, the records that it shows."""
    name = wildcards.name
    inputs = [project / "notebooks" / f"{name}.ipynb", *series.sources(name), *series.record_files(name, profile, seed)]
    return inputs + [f"notebooks/{other}.ipynb" for other in series.depends(name)]


rule report:
    default_target: True
    localrule: True
    input:
        expand("notebooks/{name}.ipynb", name=names),
        series.report_sources(profile),
    output:
        "report.html",
        "report.ko.html",
        "report.md",
    shell:
        "{sys.executable:q} -m scene_utils assemble --profile {profile:q} --seed {seed}"


rule execute:
    input:
        executed_inputs,
    output:
        "notebooks/{name}.ipynb",
    params:
        state=series.data_state(),
    priority: lambda wildcards: series.priority(wildcards.name)
    threads: int(config.get("threads", 1))
    resources:
        mem_mb=3000 if profile == "sample" else 8000,
        **({"gpu": 1} if gpu else {}),
    shell:
        "OMP_NUM_THREADS={threads} {sys.executable:q} -m scene_utils execute {wildcards.name:q} {output:q}"
        " --profile {profile:q} --seed {seed}"
