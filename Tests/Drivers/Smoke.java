import java.io.*;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** pgjdbc through a pooler: the connection's parameters are in PG… of the environment. */
public class Smoke {
    static Connection connect(String... more) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", System.getenv("PGUSER"));
        p.setProperty("password", System.getenv("PGPASSWORD"));
        p.setProperty("sslmode", "require");
        for (int i = 0; i < more.length; i += 2) p.setProperty(more[i], more[i + 1]);
        return DriverManager.getConnection(
            "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), p);
    }

    static String one(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
            r.next();
            return r.getString(1);
        }
    }

    static void expect(boolean holds, String what) {
        if (!holds) throw new IllegalStateException(what);
    }

    static void logIn() throws Exception {
        try (Connection c = connect()) {
            expect(one(c, "select current_user").equals(System.getenv("PGUSER")), "user");
        }
        try (Connection c = connect("password", "wrong")) {
            expect(false, "a wrong password got in");
        } catch (SQLException e) {
            expect("28P01".equals(e.getSQLState()), "wrong password: " + e.getSQLState());
        }
    }

    static void pooling() throws Exception {
        List<Connection> all = new ArrayList<>();
        for (int i = 0; i < 12; i++) all.add(connect("ApplicationName", "client " + i));
        for (int round = 0; round < 3; round++)
            for (int i = 0; i < all.size(); i++)
                expect(one(all.get(i), "show application_name").equals("client " + i), "settings follow the client");
        for (Connection c : all) c.close();
    }

    static void transactions() throws Exception {
        try (Connection c = connect(); Statement s = c.createStatement()) {
            s.execute("create table if not exists smoke_jdbc (n int)");
            s.execute("truncate smoke_jdbc");
            c.setAutoCommit(false);
            s.execute("insert into smoke_jdbc values (1)");
            c.rollback();
            s.execute("insert into smoke_jdbc values (2)");
            c.commit();
            expect(one(c, "select n from smoke_jdbc").equals("2"), "what was committed");
            c.commit();
        }
    }

    /** Named on the server after five uses, with binary results from then on. */
    static void preparedStatements() throws Exception {
        List<Connection> all = List.of(connect(), connect(), connect());
        List<PreparedStatement> statements = new ArrayList<>();
        for (Connection c : all) statements.add(c.prepareStatement("select ?::int + 1"));
        for (int i = 0; i < 30; i++)
            for (PreparedStatement s : statements) {
                s.setInt(1, i);
                try (ResultSet r = s.executeQuery()) {
                    r.next();
                    expect(r.getInt(1) == i + 1, "prepared");
                }
            }
        for (Connection c : all) c.close();
    }

    static void copies() throws Exception {
        try (Connection c = connect(); Statement s = c.createStatement()) {
            s.execute("create table if not exists smoke_jdbc_copy (n int)");
            s.execute("truncate smoke_jdbc_copy");
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 20000; i++) text.append(i).append('\n');
            CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
            expect(copy.copyIn("copy smoke_jdbc_copy from stdin", new StringReader(text.toString())) == 20000, "in");
            StringWriter out = new StringWriter();
            expect(copy.copyOut("copy smoke_jdbc_copy to stdout", out) == 20000, "out");
        }
    }

    /** A batch is one pipeline; a cursor fetches in portions. */
    static void pipelines() throws Exception {
        try (Connection c = connect(); Statement s = c.createStatement()) {
            s.execute("truncate smoke_jdbc");
            try (PreparedStatement p = c.prepareStatement("insert into smoke_jdbc values (?)")) {
                for (int i = 0; i < 1000; i++) {
                    p.setInt(1, i);
                    p.addBatch();
                }
                expect(p.executeBatch().length == 1000, "batch");
            }
            c.setAutoCommit(false);
            s.setFetchSize(50);
            int count = 0;
            try (ResultSet r = s.executeQuery("select n from smoke_jdbc")) {
                while (r.next()) count++;
            }
            expect(count == 1000, "cursor");
            c.commit();
        }
    }

    static void cancel() throws Exception {
        try (Connection c = connect(); Statement s = c.createStatement()) {
            s.setQueryTimeout(1);
            try {
                s.execute("select pg_sleep(60)");
                expect(false, "not cancelled");
            } catch (SQLException e) {
                expect("57014".equals(e.getSQLState()), "cancelled: " + e.getSQLState());
            }
            s.setQueryTimeout(0);
            expect(one(c, "select 1").equals("1"), "usable afterwards");
        }
    }

    public static void main(String[] arguments) throws Exception {
        logIn();
        System.out.println("logIn");
        pooling();
        System.out.println("pooling");
        transactions();
        System.out.println("transactions");
        preparedStatements();
        System.out.println("preparedStatements");
        copies();
        System.out.println("copies");
        pipelines();
        System.out.println("pipelines");
        cancel();
        System.out.println("cancel");
    }
}
