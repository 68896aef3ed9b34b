"""What the measurements of tools/bench with a running einetd share: starting and stopping it, and loads on it. Programs come
from a build's bin folder; everything that a run leaves goes to one folder."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time


class Daemon:
    """A running einetd, as a context. `config` holds its [[device]] and [tenant.*] tables and the policy; socket and model
    folder are added. `weight`: of a scheduling group of its own (autogroup(7); a nice level), where the machine lets it have
    one; it keeps other programs' time slices off the lanes."""

    def __init__(self, programs, out, name, models, config, weight=None):
        self.programs, self.out, self.name = pathlib.Path(programs), pathlib.Path(out), name
        self.models, self.config, self.weight = pathlib.Path(models).resolve(), config, weight

    def __enter__(self):
        self.run = tempfile.TemporaryDirectory()
        self.socket = f"{self.run.name}/socket"
        path = self.out / f"{self.name}.toml"
        path.write_text(f'socket = "{self.socket}"\nmodels = "{self.models}"\n{self.config}')
        with open(self.out / f"{self.name}.log", "w") as log:
            own = self.weight is not None
            self.process = subprocess.Popen([self.programs / "einetd", "--config", path], stderr=log, start_new_session=own)
        if own:
            with contextlib.suppress(OSError):
                pathlib.Path(f"/proc/{self.process.pid}/autogroup").write_text(str(self.weight))
        for _ in range(100):
            if self.process.poll() is not None:
                break
            if self.einet("status", check=False).returncode == 0:
                return self
            time.sleep(0.1)
        self.stop()
        raise SystemExit(f"einetd did not come up; its log: {self.out / self.name}.log")

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.run.cleanup()

    def einet(self, *arguments, check=True):
        done = subprocess.run(
            [self.programs / "einet", "--socket", self.socket, *arguments], capture_output=True, text=True
        )
        if check and done.returncode != 0:
            raise SystemExit(f"einet {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done

    def status(self):
        return json.loads(self.einet("--json", "status").stdout)

    def load(self, csv, *arguments, prefix=()):
        """Starts einet-load, which writes OUT/CSV.csv."""
        command = [*prefix, self.programs / "einet-load", "--socket", self.socket]
        return subprocess.Popen([*command, "--csv", self.out / f"{csv}.csv", *arguments])


def wait(process):
    if process.wait() != 0:
        raise SystemExit(f"{process.args[0]} ended with {process.returncode}")


def tenant(name, **settings):
    lines = [f"[tenant.{name}]", f"uid = {os.getuid()}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def device(lanes, **settings):
    lines = ["[[device]]", 'name = "cpu"', f"lanes = {lanes}", f"cores = {list(range(lanes))}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"
