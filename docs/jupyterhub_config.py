"""JupyterHub for a class: a configuration to begin with (see docs/instructors.md).

Learners are this machine's users, and everything is installed in the environment that runs the hub.
"""

import sys
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821

BIN = Path(sys.executable).parent
#: What one process of a learner may allocate, in bytes. For a limit on all of a learner's processes
#: together use systemdspawner, whose mem_limit and cpu_limit the system's cgroups hold.
MOST_MEMORY = 2 * 2**30
#: A kernel that nobody uses still holds PostgreSQL and Valkey. In seconds. One that is open in a
#: browser's tab stays: its learner would lose what it holds.
IDLE_KERNEL, IDLE_SERVER = 15 * 60, 30 * 60

# The hub lets nobody in unless it is told whom. For one group of the machine's users only, set
# c.LocalAuthenticator.allowed_groups to the set of its name instead.
c.Authenticator.allow_all = True  # every account of this machine

# The data set is made while the learner still reads the first page.
c.Spawner.cmd = [
    "sh",
    "-c",
    f'"{BIN}/course" prepare & '
    f'exec prlimit --data={MOST_MEMORY} "{BIN}/jupyterhub-singleuser" "$@"',
    "course",
]
c.Spawner.args = [
    f"--MappingKernelManager.cull_idle_timeout={IDLE_KERNEL}",
    "--MappingKernelManager.cull_interval=60",
]
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 60

c.JupyterHub.services = [
    {
        "name": "cull-idle",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE_SERVER}"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "cull-idle",
        "services": ["cull-idle"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
# Whoever comes then is turned away. Two cores each while they measure: see what the guide says
# about more learners than that.
c.JupyterHub.active_server_limit = 20
