drop trigger archive_append_only on missions_archive;
drop function missions_refuse_archive_change();

create or replace function missions_refuse_change() returns trigger
language plpgsql
as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;
