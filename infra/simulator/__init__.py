"""A simulator of the Arena REST API, so that this project can be tried without an Arena licence.

Two halves: a model in memory without threads, sockets or sleeping (`workspace`, and in front of
it `gateway`, which turns requests into answers), and the Flask application (`app`) that serves
it. Delays and faults are set through the control interface below `/_simulator/`, for example

    curl -s -X PATCH $ADDRESS/_simulator/settings -d '{"runningSeconds": 0.2}'
    curl -s $ADDRESS/_simulator/next-runs -d '{"status": "FAILED"}'
    curl -s $ADDRESS/_simulator/faults -d '{"method": "POST", "path": "*/runs", "drop": true}'
    curl -s $ADDRESS/_simulator/state

and `README.md` has all of it.

What it simplifies:

- One workspace, two users (the machine user and a person), three export definitions at first.
- Every well-formed GUID (16 to 32 upper-case letters and digits) is an item, unless it is in one
  of the sets bad, unknown or poison. Criteria other than a list of GUIDs match a fixed number.
- A run takes as long as it is told to, however many items it holds. Files hold sample rows.
- An export definition shows its name, format, views and criteria only.
- Of the codes that Arena documents for attributes and values, the nearest one is given.
  Unknown query parameters are ignored; the list of runs is not paged unless `listLimit` is set.
- Content types and sessions are checked in a fixed order: see `gateway`.
"""
