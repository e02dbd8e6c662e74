/**
 * What was tried to make the control plane cheaper, each measured on one machine (what, before, after, of what); what a node weighs in its memory; and what was
 * not reached.
 */

export const TRIED: readonly (readonly [what: string, before: string, after: string, measure: string])[] = [
  ['A heartbeat that says nothing new leaves every record as it is', '34 % of a core', '26 %', '10,000 nodes, nobody listens'],
  [
    'Changes that no request is lost by gather for 250 ms and go with the loads; loads want no ACK',
    '24 % of a core',
    '18 %',
    '1,000 nodes, 10 failures/s, 100 proxies',
  ],
  [
    'A load that does not move is told once, and once a second that it holds; proxies that hear the same part share its bytes',
    '98 % of a core, 105 MiB/s, 91,000 reports dropped, 160 ms a tick',
    '57 %, 25 MiB/s, none, 1.7 ms',
    '10,000 nodes, 300 proxies',
  ],
  [
    'The same: what goes out does not follow the size of the fleet any more',
    '52 % of a core, 62 MiB/s (1,000 nodes: 7.6)',
    '37 %, 2.8 MiB/s (1,000 nodes: 2.8)',
    '10,000 nodes, 10 failures/s, 100 proxies',
  ],
  [
    'The same, and loads of a whole fleet laid out 4,000 a tick',
    'p99 395 ms',
    'p99 53 to 213 ms',
    'FAILED to 100 mesh clients, 10,000 nodes',
  ],
  [
    'A young generation of 128 MiB instead of the 64 of Node 24: half as many collections of it, 90 MiB more memory, not taken',
    '94 collections in 36 s, 1.8 s in all',
    '46, 1.0 s',
    '10,000 nodes, 1,000 moving, 100 proxies; others worked on the machine',
  ],
  [
    'Newcomers are greeted within 64 MiB unanswered; 20 s for a ping instead of 5 s',
    'connections cut',
    'none cut; 628 greeted after 95 s',
    '10,000 nodes, 1,000 proxies come at once',
  ],
  [
    'Loads go with what only shifts shares, up to 500 ms apart with many proxies, and the word that loads hold with them; outcomes counted in place',
    '46 % of a core, 6,980 messages/s',
    '34 %, 2,991 messages/s',
    '1,000 nodes, 1,000 proxies',
  ],
  [
    'What a report repeats stays the object that it was: garbage dies young',
    '50 % of a core; collections 84 ms in a second, the longest 200 ms',
    '42 %; 40 ms in a second, 44 ms',
    '10,000 nodes, 1,000 moving, 100 proxies',
  ],
  [
    'A third of the time for folding reports, in long turns too; messages handed over for 5 ms in a turn; newcomers in larger rounds that share one layout',
    '97 % of a core; 576 of 20,000 reports/s heard; up after 95 s',
    '76 to 90 %; all heard; up after 79 s',
    '10,000 nodes, 1,000 proxies',
  ],
  [
    'What is told of GPUs is kept in bytes; a heartbeat makes no record; V8 makes nothing old before it is',
    '42 % of a core; 134 MB live, 21 MB grow old in a second; 641 MiB RSS; 0.25 s of a full collection on the main thread',
    '35 %; 72 MB, 7 MB; 452 MiB; 0.08 to 0.1 s',
    '10,000 nodes, 1,000 moving, 100 proxies; others worked on the machine',
  ],
  [
    'Memory outside of the heap begins no full collection by itself, and all may grow to four times what lives',
    'a full collection every 6 s, marked for 0.2 s; FAILED p99 346 to 937 ms',
    'one in 30 s, marked for 0.09 to 0.14 s; 46 to 71 ms; 240 MiB more memory',
    'the same, behind the row before',
  ],
]

/** Bytes of a heap snapshot after a full collection, by what holds them: 3,000 nodes folded in one process, nobody listens. */
export const NODE_WEIGHT: readonly (readonly [what: string, before: string, after: string])[] = [
  ['What is told of its eight GPUs: as objects, then as one array', '4,096', '200, and 1,450 outside of the heap'],
  ['What they are judged by', '1,677', '192'],
  ['Their names, and where to find them', '744', '744'],
  ['What is told of its 1.25 servers', '1,344', '694'],
  ['What proxies are told of them, laid out', '1,111', '952'],
  ['Loads, history, agenda, the record itself', '1,036', '911'],
  ['In all', '10,008 in 202 objects', '3,693 in 61 objects'],
]

export const NOT_REACHED: readonly string[] = [
  'The table of FAILED above was measured before what is told of GPUs was kept in bytes and full collections made rare: p99 201 ms of 10,000 nodes, 86 to 242 in other quiet runs. A failure that falls into a full collection is the slow one. Of 200 failures p99 and the slowest, in turns on one machine that others worked on too: 436 and 518, 3,529 and 3,848, 392 and 1,582, 52 and 172 ms before; 71 and 81, 51 and 80, 46 and 76 ms since. All tables are to be measured anew on a quiet machine.',
  'FAILED to ten proxies as processes within 150 ms: 134 and 192 ms in two quiet runs. Twenty of their processes share the two cores with the control plane, NATS and the generator, and the watchers themselves look every 50 ms.',
  '10,000 nodes with 1,000 proxies on a machine of their own: all reports that the generator managed to send were heard and none dropped in four measured spans, with 69 to 90 % of a core, but NATS and generators wanted more than the second core, so that the generator sent up to 5 % less than it should.',
  'All of the fleet failing at once: 2.9 s until every client knows all of it (6.2 s before). It is 24 MB of reports and 290 MB of news.',
  'A failure overtakes what waits in the control plane, not what NATS and the socket hold before it.',
]
