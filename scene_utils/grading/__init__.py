"""Mark returned notebooks: ``make grade FOLDER=...``.

A notebook is executed in a process without network, with read-only files and limits on time and memory. Its answers
are then tried out by the checks in *this* process, which no cell reaches: an answer that is a function stays over
there, and is called by messages. So a notebook can give any answer, but not its mark.

Two tools for this exist. nbgrader 0.9.6 and otter-grader 7.0.0 execute the tests in the notebook's own kernel, after
its cells: a submission that replaced the function called by the tests got full marks from both, and could write files
outside its folder (otter's containers, which need Docker, keep files apart, but not the mark). Both want a copy of each
page in a format of their own. So they are not used. What they do well and this does not: handing out and collecting,
late days, comments by hand. ``marks.csv`` can be read into the gradebook that you have.
"""
