"""Tenants pay their rent through us. Alone a tenant is served within 50 ms, most of which is the
bank's. On the first of the month it takes a second, while the bank, our CPU and PostgreSQL are all
bored. The statements are primary key look-ups. We have already asked the bank to be faster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ROUTES = [{"method": "GET", "path": "/rents/{tenant}/pay", "values": {"tenant": [1, 20000]}}]


class Base(DeclarativeBase): ...


class Tenant(Base):
    __tablename__ = "rent_tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    cents: Mapped[int]


FILL = text(
    "INSERT INTO rent_tenants (id, name, cents) SELECT n, 'Tenant ' || n, 50000 + n "
    "FROM generate_series(1, 20000) n WHERE NOT EXISTS (SELECT 1 FROM rent_tenants)"
)


class PaymentService:
    async def charge(self, name: str, cents: int) -> str:
        await asyncio.sleep(0.045)  # the bank
        return f"{len(name)}-{cents}"


class RentDesk:
    payments = PaymentService()

    async def tenant(self, db: AsyncSession, number: int) -> Tenant:
        return await db.get_one(Tenant, number)

    async def collect(self, db: AsyncSession, number: int) -> dict[str, Any]:
        tenant = await self.tenant(db, number)
        receipt = await self.payments.charge(tenant.name, tenant.cents)
        return {"tenant": tenant.id, "cents": tenant.cents, "receipt": receipt}


class PromptRentDesk(RentDesk):
    async def tenant(self, db: AsyncSession, number: int) -> Tenant:
        tenant = await super().tenant(db, number)
        await db.commit()  # gives the connection back
        return tenant


def _build(postgres_dsn: str, desk: RentDesk) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = make_url(postgres_dsn).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, pool_size=3, max_overflow=0)
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(70107)"))
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(FILL)
        app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    async def session(request: Request) -> AsyncIterator[AsyncSession]:
        async with request.app.state.sessions() as opened:
            yield opened

    @app.get("/rents/{tenant}/pay")
    async def pay(tenant: int, db: Annotated[AsyncSession, Depends(session)]) -> dict[str, Any]:
        return await desk.collect(db, tenant)

    return app


def create_app(postgres_dsn: str) -> FastAPI:
    return _build(postgres_dsn, RentDesk())


def create_cured(postgres_dsn: str) -> FastAPI:
    return _build(postgres_dsn, PromptRentDesk())
