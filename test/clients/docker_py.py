"""What a user of docker-py does; run by docker-py.test.ts with the image's name, DOCKER_HOST set."""
import sys

import docker

image = sys.argv[1]
client = docker.from_env()
assert client.ping()
assert client.version()["ApiVersion"]

assert client.containers.run(image, ["echo", "hello"], remove=True) == b"hello\n"
try:
    client.containers.run(image, ["sh", "-c", "echo wrong >&2; exit 3"], remove=True)
    raise SystemExit("a failing container raised nothing")
except docker.errors.ContainerError as error:
    assert error.exit_status == 3, error

container = client.containers.run(
    image, ["sh", "-c", "echo up; exec sleep 1000"], detach=True, name="py", labels={"a": "b"}, environment={"V": "x"}
)
try:
    assert [c.name for c in client.containers.list(filters={"label": "a=b"})] == ["py"]
    code, output = container.exec_run(["sh", "-c", "echo $V; exit 4"], stdout=True)
    assert (code, output) == (4, b"x\n"), (code, output)
    assert next(container.logs(stream=True, follow=True)).startswith(b"up")
    assert container.stats(stream=False)["memory_stats"]["usage"] > 0
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
finally:
    container.remove(force=True)

try:
    client.containers.get("py")
    raise SystemExit("a removed container is still there")
except docker.errors.NotFound:
    pass

found = client.images.get(image)
assert found.tag("py/tagged", "v1")
client.images.remove("py/tagged:v1")
print("all done")
