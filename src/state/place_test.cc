#include "state/place.h"

#include <doctest/doctest.h>

#include "state/place_url.h"

namespace penstock::state {
namespace {

std::string connect_of(const std::string& url) {
    auto place = place_of(url, "/etc/shop");
    REQUIRE_MESSAGE(place, place.error().text());
    return place->connect.reveal();
}

bool holds(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("an URL that cannot be used says why, and never what it holds") {
    for (std::string url : {"state.db",
                            "sqlite:",
                            "sqlite:a?b",
                            "ftp://u:hunter2@h/db",
                            "mysql:u:hunter2@h/db",
                            "mysql://u:hunter2@h",
                            "mysql://u:hunter2@h/",
                            "mysql://:hunter2@h/db",
                            "mysql://u:hunter2@h:port/db",
                            "mysql://u:hunter2@h:99999/db",
                            "mysql://u:hunter2%@h/db",
                            "mysql://u:hunter2%00@h/db",
                            "mysql://u:hunter2@[::1/db",
                            "mysql://u:hunter2@h/db?ssl=yes",
                            "mysql://u:a?hunter2@h/db",
                            "mysql://u:hunter2@h/db?ssl_mode=maybe",
                            "mysql://u:hunter2@h/db?ssl_mode=disabled&ssl_ca=a",
                            "mysql://u:hunter2@h;x=1/db",
                            "mysql://u:hunter2@h/db?ssl_ca=a;b",
                            "postgres://u:hunter2%zz@h/db",
                            "postgres://u:hunter2@h/db?nonsense=hunter2"}) {
        CAPTURE(url);
        auto refused = place_of(url, "/etc/shop");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::configuration);
        CHECK(refused.error().code == "state_url");
        CHECK_FALSE(refused.error().hint.empty());
        CHECK_FALSE(holds(refused.error().text(), "hunter2"));
    }
}

TEST_CASE("a MySQL URL becomes what the library takes") {
    auto place = place_of("mysql://me:it%27s%5C%40@127.0.0.1:3307/jobs", "/etc/shop");
    REQUIRE(place);
    CHECK(place->shown == "MySQL at 127.0.0.1:3307/jobs");
    CHECK_FALSE(place->encrypted);
    CHECK(holds(place->connect.reveal(), R"(user='me' password='it\'s\\@' db='jobs')"));
    CHECK(holds(place->connect.reveal(), "host='host=127.0.0.1;protocol=1' port=3307"));
    CHECK(holds(connect_of("mysql://me@[::1]/jobs"), "host='host=::1;protocol=1' port=3306"));
    CHECK(holds(connect_of("mysql://me@db.example/jobs?socket=run/mysqld.sock"),
                "unix_socket='/etc/shop/run/mysqld.sock'"));
}

TEST_CASE("a MySQL server elsewhere must show a certificate, unless told otherwise") {
    CHECK(
        holds(connect_of("mysql://me@db.example/jobs"), "host='host=db.example;protocol=1;ssl-verify-server-cert=1'"));
    CHECK(holds(connect_of("mysql://me@db.example/jobs?ssl_ca=ca.pem"),
                ";ssl-verify-server-cert=1;ssl-ca=/etc/shop/ca.pem'"));
    CHECK(holds(connect_of("mysql://me@127.0.0.1/jobs?ssl_ca=/ca.pem"), ";ssl-verify-server-cert=1;ssl-ca=/ca.pem'"));
    CHECK(holds(connect_of("mysql://me@db.example/jobs?ssl_mode=REQUIRED"), "protocol=1;ssl-enforce=1'"));
    CHECK(holds(connect_of("mysql://me@db.example/jobs?ssl_mode=disabled"), "protocol=1'"));
    CHECK(place_of("mysql://me@db.example/jobs?ssl_mode=required", "")->encrypted);
    CHECK_FALSE(place_of("mysql://me@db.example/jobs?ssl_mode=disabled", "")->encrypted);
}

TEST_CASE("a PostgreSQL server elsewhere must show a certificate, unless told otherwise") {
    CHECK(holds(connect_of("postgres://me:p%27w@db.example/jobs"), R"(password='p\'w')"));
    CHECK(holds(connect_of("postgres://me@db.example/jobs"), "sslmode='verify-full'"));
    CHECK(holds(connect_of("postgres://me@localhost,db.example/jobs"), "sslmode='verify-full'"));
    CHECK(holds(connect_of("postgres://me@/jobs?hostaddr=10.1.2.3"), "sslmode='verify-full'"));
    CHECK(holds(connect_of("postgresql://me@db.example/jobs?sslmode=require"), "sslmode='require'"));
    CHECK_FALSE(holds(connect_of("postgres://me@127.0.0.1,localhost/jobs"), "sslmode"));
    CHECK(holds(connect_of("postgres://me@h/jobs?sslmode=verify-full&sslrootcert=ca.pem"),
                "sslrootcert='/etc/shop/ca.pem'"));
    CHECK(place_of("postgres://me:pw@db.example:5433/jobs", "")->shown == "PostgreSQL at db.example:5433/jobs");
}

}  // namespace penstock::state
