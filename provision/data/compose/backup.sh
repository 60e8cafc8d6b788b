#!/bin/sh
# Backups of the database: `backup.sh now` makes one, `backup.sh daily` one each day.
# A backup counts when pg_restore can read it; the newest 14 are kept.
set -eu

export PGHOST=database PGUSER=mlflow PGDATABASE=mlflow PGPASSWORD="$DATABASE_PASSWORD"
folder=/backups
keep=14

now() {
    name="mlflow-$(date -u +%Y%m%dT%H%M%SZ).dump"
    pg_dump --format=custom --file="$folder/.part"
    pg_restore --list "$folder/.part" > /dev/null
    sync "$folder/.part"
    mv "$folder/.part" "$folder/$name"
    echo "backup: $name"
    find "$folder" -name 'mlflow-*.dump' | sort -r | tail -n +$((keep + 1)) | xargs -r rm -f
}

today() { find "$folder" -name 'mlflow-*.dump' -mmin -1440 | grep -q .; }

case "$1" in
now) now ;;
daily)
    while :; do
        today || now || echo "backup: failed; tried again in five minutes"
        sleep 300 & wait $!
    done
    ;;
esac
