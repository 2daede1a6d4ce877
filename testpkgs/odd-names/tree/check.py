import os

assert sorted(len(name) for name in os.listdir("names"))[-1] == 204, os.listdir("names")
assert "naïve café 日本.txt" in os.listdir("names")

# Deep trees are made here and left for whoever cleans up; the path is longer than PATH_MAX.
os.mkdir("deep")
os.chdir("deep")
for _ in range(50):
    os.mkdir("d" * 100)
    os.chdir("d" * 100)
with open("bottom", "w") as file:
    file.write("deep\n")
