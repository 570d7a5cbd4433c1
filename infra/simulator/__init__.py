"""A simulator of the Arena REST API, to try this project without an Arena licence.

It has two parts: an in-memory model without threads, sockets, and sleeping (`workspace`, and in
front of it `gateway`, which answers requests), and the Flask application (`app`) that serves it.
Delays and faults are set through the control interface below `/_simulator/`, for example

    curl -s -X PATCH $ADDRESS/_simulator/settings -d '{"runningSeconds": 0.2}'
    curl -s $ADDRESS/_simulator/next-runs -d '{"status": "FAILED"}'
    curl -s $ADDRESS/_simulator/faults -d '{"method": "POST", "path": "*/runs", "drop": true}'
    curl -s $ADDRESS/_simulator/state

`README.md` describes all of it.

Simplifications:

- One workspace, two users (the machine user and a person), and initially three export definitions.
- Every well-formed GUID (16 to 32 upper-case letters and digits) is an item, unless it is in one
  of the sets bad, unknown, or poison. Criteria other than a list of GUIDs match a fixed number.
- The duration of a run is a setting and does not depend on its items. Files contain sample rows,
  and filler if a size is asked for.
- An export definition has only a name, a format, views, and criteria.
- For invalid attributes and values, the closest documented error code is returned.
- Unknown query parameters are ignored; the list of runs is not limited unless `listLimit` is set.
- Content types and sessions are checked in a fixed order: see `gateway`.
"""
