"""The stand-in for the Python app that the counter replaced: FastAPI on uvicorn, and the count in visits.bin.

    python3 app.py ADDRESS DIRECTORY      FSYNC=1 makes each visit durable before its response

One process and no await between reading and writing, so each number is given once. It needs the Debian packages
python3-fastapi and python3-uvicorn.
"""

import os
import sys

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

ADDRESS, DIRECTORY = sys.argv[1:3]
FSYNC = os.environ.get("FSYNC") == "1"
VISITS = os.open(os.path.join(DIRECTORY, "visits.bin"), os.O_RDWR | os.O_CREAT, 0o644)

if FSYNC:  # The file's name, too.
    directory = os.open(DIRECTORY, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)

app = FastAPI()


@app.get("/", response_class=PlainTextResponse)
async def visit():
    visits = int.from_bytes(os.pread(VISITS, 8, 0), "little") + 1
    os.pwrite(VISITS, visits.to_bytes(8, "little"), 0)
    if FSYNC:
        os.fsync(VISITS)
    return f"{visits}\n"


host, _, port = ADDRESS.rpartition(":")
uvicorn.run(app, host=host.strip("[]"), port=int(port), log_level="warning", access_log=False)
