drop trigger vote_append_only on approvals_vote;
create trigger vote_append_only before update or delete on approvals_vote
    for each row execute function approvals_refuse_change();
drop function approvals_refuse_vote_change();
