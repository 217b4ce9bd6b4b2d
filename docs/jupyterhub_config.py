"""JupyterHub for a class: a configuration to begin with (see docs/instructors.md).

Before the first class, as root: ``course doctor`` with XDG_CACHE_HOME=/srv/course-cache makes the
data set once for all users.
"""

import sys

c = get_config()  # type: ignore[name-defined]  # noqa: F821

COURSE = "/srv/fastapi-performance-course"

c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
c.Spawner.notebook_dir = "~"
c.Spawner.default_url = "/lab"
# Each learner's servers listen on ports of their own behind passwords of their own.
c.Spawner.environment = {"XDG_CACHE_HOME": "/srv/course-cache"}
c.Spawner.mem_limit = "2G"
c.Spawner.cpu_limit = 2.0
c.Spawner.start_timeout = 60

# A server that nobody uses still holds PostgreSQL and Valkey: end it after half an hour.
c.JupyterHub.services = [
    {
        "name": "cull-idle",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=1800"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "cull-idle",
        "services": ["cull-idle"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
c.JupyterHub.active_server_limit = 20
