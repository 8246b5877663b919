-- What the ORM can not say: what a version of a hook said stays as it was said.
create trigger hook_version_append_only before update or delete on approvals_hookversion
    for each row execute function approvals_refuse_change();
