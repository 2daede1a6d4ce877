"""Servers and clients of one test suite talk over the loopback."""

import os
import socket
import threading


def answer(server):
    connection, _ = server.accept()
    with connection:
        connection.sendall(connection.recv(100).upper())


def talk(name, family, address, client_address=None):
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        bound = server.getsockname()
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect((client_address, bound[1]) if client_address else bound)
            client.sendall(b"hello")
            assert client.recv(100) == b"HELLO", name
    print("ok", name)


talk("127.0.0.1", socket.AF_INET, ("127.0.0.1", 0))
talk("127.0.0.2", socket.AF_INET, ("127.0.0.2", 0))
talk("localhost by name", socket.AF_INET, ("127.0.0.1", 0), "localhost")
talk("any address", socket.AF_INET, ("0.0.0.0", 0), "127.0.0.1")
talk("a socket in the tree", socket.AF_UNIX, "./socket")
talk("an abstract socket", socket.AF_UNIX, "\0testpkg-loopback")
try:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as six:
        six.bind(("::1", 0))
except OSError as error:
    print("this kernel has no IPv6:", error)
else:
    talk("::1", socket.AF_INET6, ("::1", 0))

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(10)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"datagram", receiver.getsockname())
    assert receiver.recv(100) == b"datagram"
print("ok UDP")

assert socket.gethostbyname(socket.gethostname()).startswith("127."), "the own name is on the loopback"
print("ok the own name")
os.remove("socket")
