-- Append-only tables let go of a mission's rows in one case: a transaction that has set `standfast.archiving` to its id,
-- while a sealed bundle of it waits for just that. A change is refused as ever.
create or replace function missions_refuse_change() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'DELETE' and old.mission_id::text = current_setting('standfast.archiving', true) then
        if exists (
            select from missions_archive
            where mission_id = old.mission_id and removed_at is null and returned_at is null
        ) then
            return old;
        end if;
    end if;
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

-- What was sealed stays as it was sealed; only where the rows are may be told anew, once each.
create function missions_refuse_archive_change() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'UPDATE' then
        if (to_jsonb(new) - 'removed_at' - 'returned_at') = (to_jsonb(old) - 'removed_at' - 'returned_at')
            and (old.removed_at is null or new.removed_at = old.removed_at)
            and (old.returned_at is null or new.returned_at = old.returned_at)
        then
            return new;
        end if;
    end if;
    raise exception 'the archive is append-only: % refused', lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger archive_append_only before update or delete on missions_archive
    for each row execute function missions_refuse_archive_change();
