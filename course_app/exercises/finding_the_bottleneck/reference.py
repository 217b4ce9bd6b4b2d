"""A good answer to one seed; ``solution(...)`` shows the source of its app."""

from typing import Any

from fastapi import FastAPI

from course_app.apps.newsroom import SOUND, Page, create_newsroom, replaced

SEED = 6
FINDING = {"endpoint": "/tags/{tag_id}", "stage": "authors", "cause": "SQL statements"}
LOCUSTFILE = """
import random
from locust import HttpUser, constant_throughput, task

class Reader(HttpUser):
    wait_time = constant_throughput(5)

    def read(self, page, number):
        path, name = f"/{page}/{number}", f"/{page}/[id]"
        with self.client.get(path, name=name, catch_response=True) as response:
            if response.ok and response.json().get("id") != number:
                response.failure("the page of another id")

    @task
    def post(self):
        self.read("posts", random.randint(1, 100_000))

    @task
    def user(self):
        self.read("users", random.randint(1, 100))

    @task
    def tag(self):
        self.read("tags", random.randint(1, 200))
"""

#: The race is against sound stages, whatever seed the learner has.
as_found = SOUND


def create_app(postgres_dsn: str) -> FastAPI:
    """With seed 6 the stage `authors` asked for one name after another. One query has them all."""

    async def authors(pool: Any, page: Page) -> dict[int, str]:
        ids = {post["author_id"] for post in page["latest"]}
        query = "SELECT id, name FROM users WHERE id = ANY($1) ORDER BY id"
        return {row["id"]: row["name"] for row in await pool.fetch(query, list(ids))}

    return create_newsroom(postgres_dsn, replaced(as_found, "tags", "authors", authors))
