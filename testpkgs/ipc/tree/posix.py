"""POSIX shared memory and semaphores need a /dev/shm that the build may write."""

import multiprocessing
import multiprocessing.shared_memory
import os


def add(counter, lock):
    for _ in range(1000):
        with lock:
            counter.value += 1


if __name__ == "__main__":
    lock = multiprocessing.Lock()
    counter = multiprocessing.Value("i", 0, lock=False)
    workers = [multiprocessing.Process(target=add, args=(counter, lock)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counter.value == 4000, counter.value
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=1 << 20)
    memory.buf[:5] = b"hello"
    assert os.listdir("/dev/shm"), "nothing in /dev/shm"
    memory.close()
    memory.unlink()
    for name in ("/dev/shm/file", "/run/lock/file", "/run/shm/file"):
        with open(name, "w") as file:
            file.write("x")
        os.remove(name)
    print("ok POSIX")
