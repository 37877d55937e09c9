"""asyncpg through a pooler: the connection's parameters are in PG… of the environment."""
import asyncio, io, ssl
import asyncpg

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


def connect(**more):
    return asyncpg.connect(ssl=context, **more)


async def log_in():
    c = await connect()
    assert await c.fetchval("select current_user") == c._params.user
    await c.close()
    try:
        await connect(password="wrong")
    except asyncpg.InvalidPasswordError:
        return
    raise AssertionError("a wrong password got in")


async def pooling():
    async with asyncpg.create_pool(ssl=context, min_size=5, max_size=20) as pool:
        async def work(i):
            async with pool.acquire() as c, c.transaction():
                return await c.fetchval("select $1::int * 2", i)
        assert await asyncio.gather(*(work(i) for i in range(200))) == [2 * i for i in range(200)]


async def prepared_statements():
    connections = [await connect() for _ in range(4)]
    statements = [await c.prepare("select $1::text || 'x'") for c in connections]
    for i in range(40):
        for statement in statements:
            assert await statement.fetchval(str(i)) == f"{i}x"
    for i in range(300):
        assert await connections[0].fetchval(f"select {i} + $1::int", 1) == i + 1
    for c in connections:
        await c.close()


async def copies():
    c = await connect()
    await c.execute("create table if not exists smoke_asyncpg (n int, t text)")
    await c.execute("truncate smoke_asyncpg")
    await c.copy_records_to_table("smoke_asyncpg", records=[(i, "x" * (i % 50)) for i in range(20000)])
    out = io.BytesIO()
    await c.copy_from_query("select n from smoke_asyncpg", output=out)
    assert len(out.getvalue().splitlines()) == 20000
    await c.close()


async def pipelines():
    # executemany sends all Binds behind one Parse and one Sync.
    c = await connect()
    await c.execute("create table if not exists smoke_many (n int)")
    await c.execute("truncate smoke_many")
    await c.executemany("insert into smoke_many values ($1)", [(i,) for i in range(500)])
    assert await c.fetchval("select count(*) from smoke_many") == 500
    async with c.transaction():
        assert len([row async for row in c.cursor("select n from smoke_many", prefetch=50)]) == 500
    await c.close()


async def cancel():
    c = await connect()
    try:
        await c.fetchval("select pg_sleep(60)", timeout=0.5)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("not cancelled")
    assert await c.fetchval("select 1") == 1
    await c.close()


for test in (log_in, pooling, prepared_statements, copies, pipelines, cancel):
    asyncio.run(asyncio.wait_for(test(), 60))
    print(test.__name__, flush=True)
