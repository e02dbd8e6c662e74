/** What was tried to make the control plane cheaper, each measured on one machine (what, before, after, of what); and what was not reached. */

export const TRIED: readonly (readonly [what: string, before: string, after: string, measure: string])[] = [
  ['A heartbeat that says nothing new leaves every record as it is', '34 % of a core', '26 %', '10,000 nodes, nobody listens'],
  [
    'Changes that no request is lost by gather for 250 ms and go with the loads; loads want no ACK',
    '24 % of a core',
    '18 %',
    '1,000 nodes, 10 failures/s, 100 proxies',
  ],
  ['The same, where loads that are told again weigh most', '48 % of a core', '52 %', '10,000 nodes, 10 failures/s, 100 proxies'],
  [
    'Newcomers are greeted within 64 MiB unanswered; 20 s for a ping instead of 5 s',
    'connections cut',
    'none cut; 628 greeted after 95 s',
    '10,000 nodes, 1,000 proxies come at once',
  ],
]

export const NOT_REACHED: readonly string[] = [
  '10,000 nodes with 300 proxies: the row above is a control plane that is too slow, and drops reports. A message was laid out for each proxy when each hears of a part; since then proxies share some dozens of them, which is not measured yet. Nor is the goal of 150 ms at p99 met while the two cores are that busy.',
  '10,000 nodes with 1,000 proxies that all come at once and hold nothing: 3 GB of greetings, which were not all taken in after two minutes on two cores that NATS, generators and other work shared. Proxies with `--state-dir` bring their versions and are sent differences only.',
  'A load that does not change is told again each second, so that its age stays true: that part of the cost follows endpoints times proxies, up to a budget of a million rows a second, above which each proxy hears of a part.',
]
