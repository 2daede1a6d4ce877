"""Makes system calls by their numbers and prints as JSON what each one answered; the tests run it inside.

Its argument is a JSON list of [label, number, arguments]; ``int80`` before the number is x86's 32-bit ABI.
Each call is made by a process of its own. The answer is "" for success, else the name of the error or signal.
"""

# ruff: noqa: PTH123

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import signal
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)


def native(number, arguments):
    words = [ctypes.c_ulong(word & (1 << 64) - 1) for word in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *words)
    return ctypes.get_errno() if result == -1 else 0


def int80(number, arguments):
    """A call of the 32-bit ABI from a 64-bit program; pointers in ``arguments`` have to be bad anyway."""
    words = [word & 0xFFFFFFFF for word in (*arguments, 0, 0, 0)[:3]]
    # push rbx; mov eax, ebx, ecx, edx; int 0x80; pop rbx; ret
    code = b"\x53\xb8" + struct.pack("<I", number)
    code += b"".join(
        bytes([op]) + struct.pack("<I", word) for op, word in zip((0xBB, 0xB9, 0xBA), words, strict=True)
    )
    code += b"\xcd\x80\x5b\xc3"
    place = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    place.write(code)
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(place)))
    result = call()
    return -result if -4096 < result < 0 else 0


def answer(kind, number, arguments):
    parent = os.getpid()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
        error = kind(number, arguments)
        if os.getppid() == parent:  # and not the child of a clone that worked
            os.write(writing, struct.pack("i", error))
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 4)
    os.close(reading)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    (error,) = struct.unpack("i", said)
    return errno.errorcode.get(error, str(error)) if error else ""


found = {}
for label, number, *arguments in json.loads(sys.argv[1]):
    if number == "int80":
        found[label] = answer(int80, arguments[0], arguments[1])
    else:
        found[label] = answer(native, number, arguments[0])
print(json.dumps(found))
