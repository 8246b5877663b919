-- A mission waits for a change of a resource: note it for who listens, and tell them. Only where the attempt still owns
-- the mission, under its row's lock, since a fenced worker would bring back what a later one has replaced. One wait at a
-- place of the code takes the place of the one before; the same wait noted again only tells the listener anew.
with mine as materialized (
    select id
    from missions_mission
    where id = $1::int8 and attempt = $2::int4
    for share
),
noted as (
    insert into missions_awaitedresource (name, mission_id, slot, server, resource, known)
    select $3::text, id, $4::text, $5::text, $6::text, $7::text
    from mine
    on conflict (mission_id, slot) do update
    set name = excluded.name, server = excluded.server, resource = excluded.resource, known = excluded.known,
        at = missions_now()
)
select pg_notify($8::text, $5::text) from mine
