-- The job store. Every change of a job or a board is one call of this script, so it happens whole
-- or not at all, on Redis' clock, and leaves a line in the job's history that says who and why.
--
-- Keys ($p is the store's prefix, "edgeprof:" unless told otherwise)
--
-- $p job:$id            hash    one job:
--                               spec (JSON, never changes), schema (its version), state, reason,
--                               queue, platform (when that is the target), require (JSON, the
--                               tags that its board must have; '' for none), priority, user,
--                               max_attempts, created_s, queue_timeout_s (how long it may wait in
--                               its queue), deadline_s (when it expires there), queued_s (last
--                               time it entered its queue), started_s, finished_s, label (what it
--                               is, for people), epoch, owner, device, host, lock_domain, cancel
--                               ("actor\nreason" once asked), avoid, avoid_until_s, avoid_host,
--                               traceparent, expected_s and expected_by (history or predicted:
--                               how long an attempt will take, where the client could tell)
-- $p work:$id:attempts  list    JSON, one a try; the last is open (no ended_s) while the job runs
-- $p work:$id:result    string  JSON. Only workers may write `work:` keys; clients may read them
--                               (deploy/redis)
-- $p work:$id:packed    string  spec, attempts, history and result of a job that an archive holds
--                               (packing.py); it replaces these, and what only open jobs need
-- $p job:$id:history    list    JSON, one a transition: {s, from, to, actor, reason}
-- $p job:$id:events     stream  what a watcher sees: transitions and progress, capped
-- $p jobs               zset    every job -> created_s
-- $p jobs:$state        zset    the jobs in that state -> created_s
-- $p queues             set     queues that have had ready jobs
-- $p lanes:$queue       set     the sets of tags (JSON) for which jobs of a queue wait
-- $p ready:$lane        zset    the queued jobs of a lane -> when their doorbell was last sent. The
--                               lane of jobs without tags has the name of the queue; those that
--                               want the same tags have one of their own: $queue|$tags
-- $p order:$lane        zset    the same jobs -> their rank: the lowest is claimed first
-- $p turns:$queue       hash    priority -> turn of the job claimed last; priority:user -> the
--                               user's last turn
-- $p delayed            zset    queued jobs between two attempts -> when they are ready again
-- $p deadlines          zset    the queued jobs -> when they expire
-- $p leases             zset    the running jobs -> when their lease runs out
-- $p running_on         hash    board -> the job that runs on it
-- $p epoch              string  fencing tokens: one counter for the whole lab, so that each board
--                               sees them grow
-- $p dead               zset    jobs given up after their last attempt -> when
-- $p newer:$v:$queue    zset    queued jobs of schema $v, which no agent that looked can read ->
--                               their rank
-- $p unarchived         zset    finished jobs no archive holds yet -> finished_s
-- $p unreadable         zset    finished jobs that this archive cannot read or keep -> finished_s
-- $p prunable           zset    archived jobs -> when they may be forgotten
-- $p rearchive          zset    jobs of an archive that is gone -> when they may be forgotten
-- $p boards             hash    board -> BoardInfo (JSON), as last announced
-- $p boards:owner       hash    board -> {owner, host, pid, lock_domain, uid} (JSON)
-- $p boards:uid         hash    uid of the silicon -> board
-- $p boards:seen        hash    board -> when it was last announced
-- $p boards:until       zset    board -> until when the announcement holds (0: said goodbye)
-- $p boards:cordoned    hash    board -> {state, reason, actor, s, of_host, release_port} (JSON):
--                               state is draining or quarantined; of_host: for what its host lacks;
--                               release_port: its port is to be free
-- $p orders             string  when people or the store last wanted something of boards: a cordon,
--                               its end, an identification. Workers look again when it changes
-- $p boards:identify    hash    board -> who wants it to make itself known
-- $p boards:thorough    hash    board -> who wants it tested thoroughly
-- $p boards:upgrade     hash    board -> who wants its agent's firmware on it
-- $p reservations       hash    board -> {user, until_s, reason} (JSON): only this user's jobs run
-- $p reservations:until zset    board -> until when it is reserved
-- $p boards:lent        hash    board -> {state, reason, actor, s, release_port, token, until_s}
--                               (JSON): a program has its port until until_s
-- $p boards:faults      hash    board -> attempts in a row that failed for board or link reasons
-- $p board:$b:history   list    JSON, the last 100 changes of its cordon: {s, state, actor, reason}
-- $p board:$b:log       stream  {line: JSON}, the last lines of its worker's log, with a TTL
--                               (board_logs.py)
-- $p hosts              hash    address of a host agent's metrics -> HostInfo (JSON)
-- $p hosts:until        zset    address -> until when it is listed
-- $p hosts:cordoned     hash    host -> {actor, reason, s, drained} (JSON): none of its boards gets
--                               a job; drained: a person wants that, and no self-test ends it
-- $p hosts:faults       hash    host -> how many attempts in a row failed for its own reasons
-- $p schedules          hash    name of a recurring sweep -> Schedule (JSON)        (schedules.py)
-- $p schedules:due      zset    those that are not paused -> when they run next
-- $p schedules:paused   hash    the others -> {user, at_s} (JSON)
-- $p schedules:open     hash    name -> OpenRun (JSON): its run that has not ended
-- $p schedule:$n:jobs   list    the jobs of that run
-- $p schedule:$n:runs   list    EndedRun (JSON), newest first, the last 50: also what was skipped
--                               or missed
-- $p schedule:$n:files  hash    sha256 -> a model or a text that its sweep names; without a TTL
-- $p notices:$subject  hash    wish -> what became of it (JSON, for people), with a TTL
-- edgeprof-notify:...           what clients may write, and only schedulers read: it has addresses
--   waiting             zset    wishes whose jobs have not all ended -> when asked for
--   asked:$n            string  a wish (JSON)                              (types/notification.py)
--   jobs:$n             list    jobs it waits for, without those that were seen to have ended
--   schedule:$name      string  whom to tell of the runs of a schedule (JSON)
--   due                 zset    messages to be sent -> when they are tried next
--   message:$id         hash    n and asked (of its wish), body, attempts
-- $p blob:$sha256       string  a model file                                        (blobs.py)
-- $p last_sign          string  when a custodian or a working board last gave a sign
-- $p last_sign:grace    string  until when nobody is taken for dead, after a time without any sign
-- $p custodian          string  who leads the custodians, with a TTL                (custodian.py)
-- $p pages              string  where the scheduler's pages are (JSON), with a TTL  (site_address.py)
-- $p scrub              hash    zset of jobs -> how far the custodian's check of it has come
-- $p aside              list    JSON, what was set aside and nobody has logged yet: {s, where, id,
--                               why}; the last 1000
-- $p store              hash    id: random, made with the first key; emptied_s: when a store before
--                               it vanished
--
-- Any of this may have been written by somebody else. An entry without a sound record, a record of
-- a newer version, a field that is no number and a key of another type are dropped, at the cost of
-- a line in `aside`; they never stop the call that met them.
--
-- The files of this folder are joined (script.py). Behind each, the command that was asked for runs
-- if it is there: to make all functions takes longer than most commands. So the files that are used
-- most come first.
--
-- "lock_domain" names a set of processes that share one folder of board locks
-- (workers/board/locks.py).

local P = KEYS[1]
local time = redis.call('TIME')
local now_s = time[1] .. '.' .. string.format('%06d', time[2])
local now = tonumber(now_s)

local EVENTS_KEPT = 512
-- How long the events of an archived job stay, for watchers that are late.
local EVENTS_KEPT_S = 600
local AVOID_S = 20
-- Of a job's JSON, as JobSpec.largest_bytes. We never write a larger one, and no worker reads it.
local SPEC_LIMIT = 512 * 1024
-- As JobResult.largest_bytes.
local RESULT_LIMIT = 8 * 1024 * 1024
-- After so many bytes of several jobs a reply ends: its reader has to hold it in memory.
local REPLY_LIMIT = 32 * 1024 * 1024
local LONGEST_BACKOFF_S = 60
-- Priorities are ranks apart by more turns than a queue will ever hand out.
local RANKS = 1e12
-- How many jobs a claim reads at once, and looks at in all, for one that suits the board.
local CANDIDATES, MOST_CANDIDATES = 200, 10000
-- How many queues one call walks through: a lab has some hundreds, and anyone may add names.
local QUEUES = 1000
-- How many lanes of a queue one call looks at, and the longest JSON of a lane's tags.
local LANES, REQUIRE_LIMIT = 200, 16 * 1024
-- As LONGEST_RESERVATION_S of reservations.py.
local LONGEST_RESERVATION_S = 7 * 86400
-- How many attempts and lines of history of a job are read; ours have at most 20 attempts, with a
-- few lines each.
local ATTEMPTS_READ, HISTORY_KEPT = 100, 1000
local MOST_ATTEMPTS = 20 -- as JobSpec.max_attempts
-- How many boards and hosts one call looks at: a lab has some hundreds, and anyone with a worker's
-- login may add more.
local BOARDS, HOSTS = 5000, 1000
-- Longest record of a board, a host or an attempt, as TolerantModel.largest_bytes of BoardInfo;
-- longest label or traceparent.
local ENTRY_LIMIT, LABEL_LIMIT = 64 * 1024, 512
-- No lease and no announcement of ours runs for longer; one that does was written by somebody else.
local LONGEST_UNTIL_S = 2 * 86400
-- How far a fencing token may be ahead of the time in ms: Redis' clock may be set back, but not by
-- more than this.
local EPOCH_AHEAD_MS = 86400e3
-- How many of a queue's longest unsent jobs are looked at for the oldest, and how many at random for
-- what they will take: it bounds the work of a scrape.
local AGED = 200
local LONGEST_EXPECTED_S = 30 * 86400 -- as Expected.attempt_s
-- How many values submit writes into one zset at once: Lua's stack holds some thousands.
local BATCH = 1000

-- The commands, by name: function(arguments).
local commands = {}

local STATES = {'queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired'}
local IS_STATE, IS_TERMINAL = {}, {}
for _, state in ipairs(STATES) do
  IS_STATE[state] = true
  IS_TERMINAL[state] = state ~= 'queued' and state ~= 'running'
end
