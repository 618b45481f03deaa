/* Change capture: snapshot, stream, checkpoint, confirm - and a kill between any two steps.
 *
 *     spin -run -DKILLS=2 capture.pml
 *
 * Steps bear the names of the program's failpoints (src/base/failpoints.h): where the program can be killed in a test, this
 * model is killed, in every order with what the writers of the source do, and with what somebody else does to the slot.
 * tests/test_model.py compares the names, runs the model, and shows that each mutation below is found.
 *
 * The source is a log of transactions 1, 2, …, each of which changes some of two tables. A table is the set of the transactions
 * that it holds: one that is missing was lost, one that is put in a second time was applied twice.
 *
 * Always:   a transaction is put into a table at most once; the slot is confirmed only up to the newest durable checkpoint;
 *           a run that succeeds leaves what the source held where the stream stands, and no less than when the run began;
 *           a run refuses to go on only when somebody else has touched the slot.
 * At last:  a run succeeds, however many kills there were before.
 */

#ifndef TRANSACTIONS
#define TRANSACTIONS 3
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef MEDDLING
#define MEDDLING 0 /* what somebody else may do to the slot, how often */
#endif
#ifndef RESNAPSHOTS
#define RESNAPSHOTS 0 /* how often somebody asks for a table to be read anew */
#endif

mtype = { source_connect_before, target_open_after, slot_create_before, slot_create_after, source_snapshot_after, target_stage_before,
          source_read_during, target_stage_after, target_merge_after, target_commit_before, target_commit_after,
          source_confirm_before, changes_stream_before, changes_receive_after };

#define BIT(x) (1 << (x))
#define BOTH 3

/* The server: its log, and the slot. */
byte log_end = 0;
byte changes[TRANSACTIONS + 1]; /* tables that a transaction changes, a bit each */
bool slot_exists = false, slot_active = false;
byte slot_confirmed = 0;

/* The target: what a commit makes durable. */
bool loaded[2];    /* the table has a checkpoint */
byte streamed[2];  /* of the checkpoint: where the stream was */
byte from[2];      /* of the checkpoint: what the snapshot holds */
byte rows[2];      /* transactions the table holds, a bit each */

byte kills = KILLS, meddling = MEDDLING, resnapshots = RESNAPSHOTS;
bool touched = false; /* somebody else had the slot */
bool finished = false;
mtype at;

/* Transactions up to `position` that change a table. */
inline held_at(table, position, result) {
    result = 0;
    for (i : 1 .. TRANSACTIONS) {
        if
        :: i <= position && (changes[i] & BIT(table)) -> result = result | BIT(i)
        :: else
        fi
    }
}

inline step(name) {
    atomic {
        at = name;
        if
        :: kills > 0 -> kills--; goto killed
        :: true
        fi
    }
}

/* A status of the stream arrives at the server: it may let go of the log up to there. */
inline confirm(position) {
    d_step {
        assert(loaded[0] || loaded[1]);
        assert((loaded[0] && position <= streamed[0]) || (loaded[1] && position <= streamed[1]));
        if
        :: position > slot_confirmed -> slot_confirmed = position
        :: else
        fi
    }
}

/* slot_guard.h: whether streaming may go on after what the target has. */
inline judge(held) {
#ifndef NO_JUDGEMENT
    if
    :: !slot_exists || slot_confirmed > held -> goto refused
    :: else
    fi
#else
    if
    :: !slot_exists -> goto refused
    :: else
    fi
#endif
}

/* Rows and checkpoints in one transaction of the target. */
inline commit_segment() {
    d_step {
        touches = 0;
        for (i : 1 .. TRANSACTIONS) {
            if
            :: i > applied && i <= received ->
                for (j : 0 .. 1) {
                    if
#ifdef FORGET_THE_SNAPSHOT
                    :: (changes[i] & BIT(j)) ->
#else
                    :: (changes[i] & BIT(j)) && i > my_from[j] ->
#endif
                        assert(!(rows[j] & BIT(i)));
                        rows[j] = rows[j] | BIT(i);
                        touches = touches | BIT(j)
                    :: else
                    fi
                }
            :: else
            fi
        }
        if
        :: touches == 0 -> touches = 1 /* nothing for us: the position moves on all the same */
        :: else
        fi
    }
}

inline commit_checkpoint() {
    d_step {
        for (i : 0 .. 1) {
            if
            :: touches & BIT(i) -> streamed[i] = received
            :: else
            fi
        }
        i = 0
    }
}

active proctype program() {
    byte i, j, touches, mask;
    byte position, held, snapshot_at, drain_to, received, applied, began_at;
    byte my_from[2];
    byte pending; /* tables without checkpoint, or to be read anew */
    bool remembered; /* the target has a checkpoint of some table */

begin:
    began_at = log_end;
    step(source_connect_before);
    d_step {
        pending = 0;
        held = 0;
        for (i : 0 .. 1) {
            if
            :: !loaded[i] -> pending = pending | BIT(i)
            :: loaded[i] && streamed[i] > held -> held = streamed[i]
            :: else
            fi;
            my_from[i] = from[i]
        }
        i = 0;
        remembered = pending != BOTH
    }
    if
    :: resnapshots > 0 && remembered -> resnapshots--; pending = pending | 1 /* the old rows and their checkpoint stay until then */
    :: true
    fi;
    step(target_open_after);
    if
    :: !remembered && !slot_exists ->
        step(slot_create_before);
#ifdef SNAPSHOT_BEFORE_SLOT
        snapshot_at = log_end;
        atomic { slot_exists = true; slot_confirmed = log_end; position = slot_confirmed }
#else
        atomic { slot_exists = true; slot_confirmed = log_end; snapshot_at = log_end; position = snapshot_at }
#endif
        d_step { my_from[0] = snapshot_at; my_from[1] = snapshot_at }
        step(source_snapshot_after);
        step(slot_create_after)
    :: else ->
        if
        :: !remembered -> held = slot_confirmed
        :: else
        fi;
        atomic { judge(held) }
        position = held;
        if
        :: pending != 0 ->
            /* A temporary slot's snapshot: it goes with the process. */
            d_step {
                snapshot_at = log_end;
                for (i : 0 .. 1) {
                    if
                    :: pending & BIT(i) -> my_from[i] = snapshot_at
                    :: else
                    fi
                }
                i = 0;
                if
                :: !remembered -> position = snapshot_at
                :: else
                fi
            }
            step(source_snapshot_after)
        :: else
        fi
    fi;

    /* The snapshot: a commit a table. */
    do
    :: pending == 0 -> break
    :: pending != 0 ->
        step(target_stage_before);
        step(source_read_during);
        step(target_stage_after);
        step(target_merge_after);
        step(target_commit_before);
        d_step {
            j = ((pending & 1) -> 0 : 1);
            held_at(j, snapshot_at, mask);
            rows[j] = mask;
            loaded[j] = true;
            streamed[j] = position;
            from[j] = my_from[j];
            pending = pending & ~BIT(j);
            i = 0; j = 0; mask = 0
        }
        step(target_commit_after);
        step(source_confirm_before) /* no stream yet: nothing is told */
    od;

    step(changes_stream_before);
    /* START_REPLICATION: where the slot stands further than what is asked for, the server goes on from there and says nothing. */
    atomic {
        if
        :: !slot_exists -> goto refused
        :: else
        fi;
        slot_active = true;
        drain_to = log_end;
        received = (slot_confirmed > position -> slot_confirmed : position);
        applied = received;
        if
        :: held == 0 -> held = position
        :: else
        fi;
        judge(held)
    }

    do
    :: position >= drain_to -> break
    :: position < drain_to ->
        do
        :: received < log_end -> received++; step(changes_receive_after)
        :: received >= drain_to || received > applied -> break
        od;
        step(target_stage_before);
        step(target_stage_after);
        step(target_merge_after);
#ifdef CONFIRM_BEFORE_COMMIT
        if
        :: received > slot_confirmed -> slot_confirmed = received
        :: else
        fi;
#endif
        step(target_commit_before);
#ifdef CHECKPOINT_APART
        commit_segment();
        step(target_commit_after);
        commit_checkpoint();
#else
        atomic { commit_segment(); commit_checkpoint() }
        step(target_commit_after);
#endif
        d_step { position = received; applied = received; touches = 0 }
        step(source_confirm_before);
        /* Told within a second, or with the next one, or never. */
        if
        :: confirm(position)
        :: true
        fi
    od;
    confirm(position);
    slot_active = false;

    /* Success is said now. */
    d_step {
        assert(position >= began_at);
        held_at(0, position, mask);
        assert(rows[0] == mask);
        held_at(1, position, mask);
        assert(rows[1] == mask);
        i = 0; mask = 0
    }
    if
    :: position == TRANSACTIONS -> finished = true; goto done
    :: else -> goto again
    fi;

killed:
    skip;
    d_step { slot_active = false; i = 0; j = 0; mask = 0; touches = 0 }
    goto again;

refused:
    skip; /* The way out: the slot goes, and --full-refresh reads the tables anew. What the target has stays until it is replaced. */
    d_step { assert(touched); slot_active = false; slot_exists = false; slot_confirmed = 0; loaded[0] = false; loaded[1] = false }

again:
    skip;
    d_step { position = 0; held = 0; snapshot_at = 0; drain_to = 0; received = 0; applied = 0; my_from[0] = 0; my_from[1] = 0; pending = 0; remembered = false }
    goto begin;

done:
    skip
}

active proctype writers() {
    do
    :: log_end == TRANSACTIONS -> break
    :: atomic {
           log_end < TRANSACTIONS ->
           if
           :: changes[log_end + 1] = 1
           :: changes[log_end + 1] = 2
           :: changes[log_end + 1] = BOTH
           fi;
           log_end++
       }
    od
}

/* Somebody else: the server lets nobody move or drop a slot that is being read. */
active proctype somebody_else() {
    do
    :: meddling == 0 -> break
    :: atomic {
           meddling > 0 ->
           meddling--;
           if
           :: slot_exists && !slot_active ->
               touched = true;
               if
               :: slot_confirmed = log_end /* read it, advanced it, or made it anew */
               :: slot_exists = false
               fi
           :: else
           fi
       }
    od
}

ltl at_last { <> finished }
