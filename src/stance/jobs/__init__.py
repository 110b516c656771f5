"""Takes files of articles and a model; gives tagged articles, in one file or in a job folder.

`labelling` writes one file. A job folder is for archives: `plan` cuts the input into parts, `parts`
labels one of them, `folder` keeps the manifest, and `run` puts it together, in this process
or, with `on_ray`, in many.
"""

from stance.jobs.labelling import (
    Counts,
    check_apart,
    label,
    open_rejects,
    output_format,
    read_inputs,
    tag_files,
)

__all__ = [
    "Counts",
    "check_apart",
    "label",
    "open_rejects",
    "output_format",
    "read_inputs",
    "tag_files",
]
