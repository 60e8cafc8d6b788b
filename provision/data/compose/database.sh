#!/bin/sh
# PostgreSQL for MLflow: makes its cluster at the first start, and sets the role's password at each.
set -eu

say() { echo "database: $*"; }

# A server that serves nobody: it reads statements from its input, and asks for no password.
alone() { postgres --single -j -D "$1" "$2" > /dev/null; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    say "making a new cluster"
    # Under another name until it is whole: a crash in between leaves nothing that looks usable.
    rm -rf "$PGDATA.new"
    initdb --pgdata="$PGDATA.new" --locale=C.UTF-8 --encoding=UTF8 --data-checksums \
        --auth-local=peer --auth-host=scram-sha-256 > /dev/null
    cat > "$PGDATA.new/pg_hba.conf" <<'HBA'
local all    postgres      peer
host  mlflow mlflow    all scram-sha-256
HBA
    echo "CREATE ROLE mlflow LOGIN" | alone "$PGDATA.new" postgres
    echo "CREATE DATABASE mlflow OWNER mlflow" | alone "$PGDATA.new" postgres
    mv "$PGDATA.new" "$PGDATA"
fi

rm -f "$PGDATA/postmaster.pid"
echo "ALTER ROLE mlflow PASSWORD '$DATABASE_PASSWORD'" | alone "$PGDATA" postgres
unset DATABASE_PASSWORD
say "starting"
exec postgres -D "$PGDATA" -c listen_addresses='*' -c max_connections="$MAX_CONNECTIONS" \
    -c unix_socket_directories=/tmp
