"""What a command started through DEB_GAIN_ROOT_CMD gets must be what it was given."""

import os
import shlex
import stat
import subprocess
import sys
import time

ROOT = [os.fsencode(word) for word in shlex.split(os.environ["DEB_GAIN_ROOT_CMD"])]
PYTHON = os.fsencode(sys.executable)
ODD = [
    b"",
    b" ",
    b"two words",
    b"new\nline\n",
    b"\n",
    b"tab\tand\rreturn",
    b'it\'s "quoted" `id` $HOME $(id) ${x} \\ \\n %s ! * ? [a] {b,c} ~ # & ; | < >',
    b"-n",
    b"--",
    b"caf\xc3\xa9",
    b"latin-1: caf\xe9",
    b"\xff\xfe\x01\x7f\x1b",
]


problems = []


def as_root(*argv, **options):
    try:
        return subprocess.run([*ROOT, *argv], timeout=20, **options)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, "no end within 20 s", b"", b"")


def show(code, *argv, **options):
    return as_root(
        PYTHON, b"-c", b"import os, sys\n" + code, *argv, stdout=subprocess.PIPE, check=True, **options
    ).stdout


def equal(name, found, wanted):
    if found != wanted:
        problems.append(name)
        print(f"PROBLEM {name}: {found!r:.2000} instead of {wanted!r:.2000}")
    else:
        print("ok", name)


assert os.getuid() != 0
equal("uid and gid", show(b"print(os.getuid(), os.geteuid(), os.getgid())"), b"0 0 0\n")

arguments = b"sys.stdout.buffer.write(b'\\0'.join(os.fsencode(a) for a in sys.argv[1:]))"
equal("arguments", show(arguments, *ODD).split(b"\0"), ODD)
many = [b"%d" % number for number in range(3000)]
equal("many arguments", show(arguments, *many).split(b"\0"), many)
equal("a long argument", show(arguments, b"x" * 100_000), b"x" * 100_000)

given = {b"ODD_%d" % number: value for number, value in enumerate(ODD)}
environment = dict(os.environb) | given
names = (
    b"sys.stdout.buffer.write(b'\\0'.join(k + b'=' + v for k, v in os.environb.items() if k[:4] == b'ODD_'))"
)
found = dict(item.split(b"=", 1) for item in show(names, env=environment).split(b"\0"))
equal("environment", found, given)
del environment[b"ODD_3"]
found = dict(item.split(b"=", 1) for item in show(names, env=environment).split(b"\0"))
equal("a variable less", sorted(found), sorted(given.keys() - {b"ODD_3"}))
equal(
    "the variables of the build",
    show(b"print(os.environ['DEB_HOST_ARCH'])").strip().decode(),
    os.environ["DEB_HOST_ARCH"],
)

odd = b"jobs/a dir\nwith \xe9"
os.makedirs(odd)
here = os.path.join(os.getcwdb(), odd)
equal("working directory", show(b"sys.stdout.buffer.write(os.getcwdb())", cwd=odd), here)

for status in (0, 1, 42, 255):
    equal(f"exit status {status}", as_root(b"sh", b"-c", b"exit %d" % status).returncode, status)
signalled = as_root(b"sh", b"-c", b"kill -TERM $$").returncode
equal("a signal is a failure", signalled != 0, True)
missing = as_root(b"/no/such/program", stderr=subprocess.DEVNULL).returncode
equal("a missing program is a failure", missing != 0, True)

both = as_root(b"sh", b"-c", b"echo out; echo err >&2", capture_output=True)
equal("two streams", (both.stdout, both.stderr), (b"out\n", b"err\n"))
joined = as_root(
    b"sh",
    b"-c",
    b"for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo $i >&2; done",
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
)
equal("streams joined keep their order", joined.stdout.split(), [b"%d" % (n // 2) for n in range(2, 20)])
data = bytes(range(256)) * 8192
equal("2 MB through a pipe", as_root(b"cat", input=data, stdout=subprocess.PIPE).stdout, data)
equal("empty standard input", as_root(b"cat", input=b"", stdout=subprocess.PIPE).stdout, b"")
equal("input that is not read", as_root(b"true", input=data).returncode, 0)
with open("jobs/redirected", "wb") as file:
    as_root(b"echo", b"into a file", stdout=file, check=True)
with open("jobs/redirected", "rb") as file:
    equal("output into a file", file.read(), b"into a file\n")
    file.seek(0)
    equal("input from a file", as_root(b"cat", stdin=file, stdout=subprocess.PIPE).stdout, b"into a file\n")

old = os.umask(0o077)
as_root(b"touch", b"jobs/private", check=True)
os.umask(old)
made = os.stat("jobs/private")
equal("umask", oct(stat.S_IMODE(made.st_mode)), oct(0o600))
with open("jobs/daemon", "wb") as file:
    left = as_root(
        b"sh", b"-c", b"sleep 1000 & echo started", stdin=subprocess.DEVNULL, stdout=file, stderr=file
    )
equal("a daemon does not hold the call", left.returncode, 0)
with open("jobs/daemon", "rb") as file:
    equal("and its output arrives", file.read(), b"started\n")
equal("owner of a new file", (made.st_uid, made.st_gid), (0, 0))

start = time.monotonic()
ended = subprocess.run([b"timeout", b"1", *ROOT, b"sleep", b"600"]).returncode
equal("a call can be ended", (ended, time.monotonic() - start < 30), (124, True))
equal("and the next one works", as_root(b"true").returncode, 0)
sys.exit(bool(problems))
