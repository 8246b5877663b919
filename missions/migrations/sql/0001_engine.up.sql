-- What the ORM can not say: room for hot updates on the mission row, and tables that refuse to forget.
alter table missions_mission set (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02);

create function missions_refuse_change() returns trigger
language plpgsql
as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger journal_append_only before update or delete on missions_journal
    for each row execute function missions_refuse_change();
create trigger signal_append_only before update or delete on missions_signal
    for each row execute function missions_refuse_change();
create trigger takeover_append_only before update or delete on missions_takeover
    for each row execute function missions_refuse_change();
