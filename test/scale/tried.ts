/** What was tried to make the control plane cheaper, each measured on one machine (what, before, after, of what); and what was not reached. */

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
    'The same, and loads of a whole fleet laid out 4,000 a tick',
    'p99 395 ms',
    'p99 53 to 213 ms',
    'FAILED to 100 mesh clients, 10,000 nodes',
  ],
  ['A young generation of 64 MiB instead of 16: no gain, not taken', '44 % of a core', '43 %', '10,000 nodes, 1,000 moving, 100 proxies'],
  [
    'Newcomers are greeted within 64 MiB unanswered; 20 s for a ping instead of 5 s',
    'connections cut',
    'none cut; 628 greeted after 95 s',
    '10,000 nodes, 1,000 proxies come at once',
  ],
]

export const NOT_REACHED: readonly string[] = [
  'FAILED to 100 mesh clients within 150 ms at p99 on two cores that other work shares: one failure reaches all clients together, so p99 of a hundred failures is the slowest of them, and that one met a turn of the control plane of some 200 ms, which is 30 to 90 ms of collecting garbage and the rest reports that waited while it had no CPU.',
  '10,000 nodes with 1,000 proxies: 3 GB of first pictures. While they go out the control plane had too little of two shared cores to answer pings within 20 s, connections were cut, and the run ended. Proxies with `--state-dir` bring their versions and are sent differences only.',
  'A state change overtakes nothing of what NATS has handed over before it: under a lasting overload it waits its turn behind heartbeats. What is dropped then are heartbeats, never what changed.',
]
