"""psycopg 3 through a pooler: the connection's parameters are in PG… of the environment."""
import threading, time
import psycopg

TLS = {"sslmode": "require"}


def connect(**more):
    return psycopg.connect(**TLS, **more)


def log_in():
    with connect() as c:
        assert c.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert c.pgconn.ssl_in_use
        assert c.execute("select current_user").fetchone()[0] == c.info.user
    try:
        psycopg.connect(**TLS, password="wrong").close()
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error
    else:
        raise AssertionError("a wrong password got in")


def pooling():
    connections = [connect(autocommit=True) for _ in range(12)]
    for i, c in enumerate(connections):
        c.execute("select set_config('application_name', %s, false)", [f"client {i}"])
    for _ in range(3):
        for i, c in enumerate(connections):
            assert c.execute("show application_name").fetchone()[0] == f"client {i}"
    for c in connections:
        c.close()


def transactions():
    with connect() as a, connect() as b:
        a.execute("drop table if exists smoke_psycopg")
        a.execute("create table smoke_psycopg (n int)")
        a.commit()
        a.execute("insert into smoke_psycopg values (1)")
        a.rollback()
        a.execute("insert into smoke_psycopg values (2)")
        a.commit()
        assert b.execute("select n from smoke_psycopg").fetchall() == [(2,)]


def prepared_statements():
    connections = [connect(autocommit=True) for _ in range(4)]
    for i in range(40):
        for c in connections:
            assert c.execute("select %s::int + 1", [i], prepare=True).fetchone()[0] == i + 1
    # More than any cache of statements holds, and back to the first.
    for i in range(400):
        connections[0].execute(f"select {i}", prepare=True)
    assert connections[0].execute("select %s::int + 1", [1], prepare=True).fetchone()[0] == 2
    for c in connections:
        c.close()


def copies():
    with connect() as c:
        c.execute("create temp table copied (n int, t text) on commit drop")
        with c.cursor().copy("copy copied from stdin") as copy:
            for i in range(20000):
                copy.write_row((i, "x" * (i % 50)))
        with c.cursor().copy("copy (select n from copied) to stdout") as copy:
            assert sum(1 for _ in copy.rows()) == 20000


def pipelines():
    with connect() as c, c.pipeline() as pipeline:
        cursors = [c.execute("select %s::int", [i]) for i in range(300)]
        pipeline.sync()
        assert [cur.fetchone()[0] for cur in cursors] == list(range(300))
    with connect(autocommit=True) as c:
        try:
            with c.pipeline() as pipeline:
                c.execute("select 1")
                c.execute("select no_such_function(%s)", [1])
                pipeline.sync()
        except psycopg.errors.UndefinedFunction:
            pass
        assert c.execute("select 7").fetchone()[0] == 7


def cancel():
    with connect(autocommit=True) as c:
        timer = threading.Timer(0.5, c.cancel_safe if hasattr(c, "cancel_safe") else c.cancel)
        timer.start()
        began = time.monotonic()
        try:
            c.execute("select pg_sleep(60)")
        except psycopg.errors.QueryCanceled:
            pass
        else:
            raise AssertionError("not cancelled")
        timer.join()
        assert time.monotonic() - began < 50
        assert c.execute("select 1").fetchone()[0] == 1


for test in (log_in, pooling, transactions, prepared_statements, copies, pipelines, cancel):
    test()
    print(test.__name__, flush=True)
