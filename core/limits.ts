/** Every bound of the product, in one place, with the relations between them asserted at start. A quantity's unit is in its type or its name. */
import { admissionLimits } from './admission-limits.ts'
import { agentLimits } from './agent-limits.ts'
import { assert } from './assert.ts'
import { routingLimits } from './routing-limits.ts'
import { targetLimits } from './target-limits.ts'
import { type Bytes, kib, mib, millis, seconds } from './units.ts'

export const limits = {
  ...agentLimits,
  ...routingLimits,
  ...admissionLimits,
  ...targetLimits,
  // HTTP/2: what we advertise and what we keep of a peer
  /** Never raised: any frame that we receive is then legal on the other side of a relay. */
  frameSizeMax: 16_384 as Bytes,
  streamWindowStart: kib(96),
  streamWindowMax: mib(1),
  connectionWindow: mib(16),
  /** Sum of the stream windows granted beyond the start size, over one worker. */
  windowBudget: mib(256),
  headerListMax: kib(32),
  headerFieldsMax: 128,
  continuationsMax: 8,
  headerTableSize: 4096,
  downstreamStreamsMax: 1_000,
  /** Requests of one connection that begin, or are told of its loss, in one turn of the event loop; then the other connections have their turn. */
  streamsPerTurn: 64,
  /** Until an upstream's SETTINGS arrive. */
  upstreamStreamsAssumed: 100,
  upstreamConnectionsMax: 16,
  /** A connection is retired long before its stream ids run out. */
  streamIdMax: 2 ** 30,
  /** Bytes handed to a socket and not yet taken: above it the peer counts as without credit. */
  socketBacklogMax: kib(128),
  slabSize: kib(64),
  readBufferSize: kib(64),
  /** Of one socket that fills the buffer each time; then the others have their turn. */
  fullReadsPerTurn: 2,
  /** Answers to control frames that the peer's socket has not taken. */
  controlFramesQueuedMax: 1_000,
  /** Resets on one connection, by the peer or brought upon us by it: a burst, then a rate. */
  resetBurst: 1_000,
  resetsPerSecond: 100,
  /** Frames that carry nothing (settings, pings, window updates, priorities, empty ones): a burst, a rate, and so many for each DATA frame or stream of ours. */
  cheapFramesBurst: 1_000,
  cheapFramesPerSecond: 100,
  cheapFramesPerFrame: 10,
  /** DATA that a peer draws out of us in pieces below this pays for no frames of its own. */
  dribbleBelow: 512 as Bytes,
  /** What waits for the windows of one connection: above it the stream with the most is reset. */
  waitingMax: mib(24),
  /** Output that a peer does not read, beyond DATA: above it the connection ends. */
  unreadOutputMax: mib(1),
  /** A stream that waits for its window moves a frame, or all that it has, within this time. */
  stalledStreamMax: seconds(300),
  /** A socket takes what it was given (at most its backlog and a slab) within this time. */
  unreadSocketMax: seconds(30),
  /** A client that is asked to leave has said within this time that it knows; afterwards what it still begins is refused. */
  shutdownAnswerMax: seconds(3),
  /** A header block is whole within this time of its first byte, and a connection has sent its SETTINGS. */
  headersTimeout: seconds(10),

  // Requests
  scanBudget: kib(64),
  /** Decisions that a worker remembers, how many of a second, and every how many-th request is one of them. */
  decisionsKept: 512,
  decisionsPerSecond: 50,
  decisionSampleEvery: 128,
  /** Of one decision: endpoints that it names with their terms, that it names as passed over for one cause, and that it looks at for that. */
  explainCandidatesMax: 16,
  explainNamesMax: 5,
  explainLookedAtMax: 1_000,
  /** One question of an operator: proxies that are asked, decisions of each, and how long its workers and the proxy have to answer. */
  explainProxiesMax: 64,
  explainDecisionsMax: 200,
  explainWorkerTimeout: millis(500),
  explainTimeout: seconds(2),
  explainsWaitingMax: 100,
  inflatedMax: mib(64),
  firstMessageTimeout: seconds(30),
  /** Requests of one client stream that are not answered yet. */
  streamRequestsMax: 256,
  /** An answer that is longer is not held until it is whole when several requests share a client's stream. */
  messageHoldMax: kib(64),
  /** Answers that wait for their turn, over one worker: above it streams take no further request while others are open. */
  answersHeldMax: mib(256),
  /** Models whose way of answering is remembered, and for how long it is not asked again. */
  answerKindsMax: 1_000,
  answerKindAgeMax: seconds(60),
  /** Sequences whose endpoint a worker remembers; that of others is found by their hash. */
  sequencesKnownMax: 10_000,
  /** The same of sessions whose model pins them. */
  sessionsKnownMax: 50_000,
  /** A prompt is told apart by blocks of so many bytes, and by so many of them at most. */
  promptBlock: 128 as Bytes,
  promptBlocksMax: 256,
  /** Of a request whose model is chosen by its prompt, bytes that routing waits for. */
  promptScanMax: kib(48),
  /** Blocks whose endpoints one worker knows, over all models; and of one endpoint, as many as its server is likely to hold. */
  prefixBlocksMax: 2 ** 18,
  prefixBlocksPerEndpointMax: 2 ** 14,
  /** Endpoints that were sent prompts, each counted anew when its server was lost. */
  prefixOwnersMax: 100_000,
  connectTimeout: seconds(1),
  /** Endpoints that are connected to before their first request, and how many of them at once. */
  openAheadMax: 64,
  openAheadAtOnce: 8,
  /** Of one endpoint's name; what DNS names beyond is left out. */
  addressesPerNameMax: 16,
  /** An address of several that did not answer is left alone for so long. */
  addressAgain: seconds(30),
  dnsTimeout: seconds(2),
  dnsLookupsAtOnce: 8,
  /** Between two look-ups of a name, whatever its records say. */
  dnsAgainMin: seconds(1),
  dnsAgainMax: seconds(300),
  /** From an upstream connection's start to its SETTINGS. */
  settingsTimeout: seconds(10),
  /** Pings within one silence: gRPC servers take one in 300 s without data between them, and cut whoever sends more. */
  keepaliveAgain: seconds(310),
  prefaceTimeout: seconds(10),
  /** A PROXY header with all that it carries. */
  proxyHeaderMax: kib(4),
  handshakeTimeout: seconds(10),
  /** TLS handshakes of one worker, begun or waiting for their turn. */
  handshakesMax: 512,
  /** Begun in one turn of the event loop: each costs a signature. */
  handshakesPerTurn: 4,
  /** Sets of files that endpoints name for TLS, kept by one worker. */
  tlsContextsMax: 256,
  /** How often the files of certificates are looked at. */
  certificatePoll: seconds(1),
  /** Session tickets of TLS are of no use to whoever gets hold of a key that is older. */
  ticketKeysLife: seconds(12 * 3_600),
  http1HeadMax: kib(16),
  http1HeadTimeout: seconds(10),
  http1RequestTimeout: seconds(30),
  http1IdleMax: seconds(5),
  http1CheckPeriod: seconds(1),
  http1RequestsPerSocket: 1_000,
  /** HTTP/1.1 sockets of one worker. */
  http1SocketsMax: 1_000,
  /** Cancelled and perhaps still running on the endpoint: charged to it for this long at most. */
  burningMax: seconds(2),
  /** How often an endpoint whose connections fail is dialled again. */
  ejectionFirst: seconds(1),
  ejectionMax: seconds(5),
  drainMax: seconds(30),
  ledgerReportPeriod: millis(50),
  /** Ledger rows in one report; the rest goes with the next. */
  reportRowsMax: 1_000,
  /** A report comes so often also when nothing changed. */
  workerHeartbeat: seconds(1),
  /** A worker that says nothing for so long hangs: it is killed and replaced. */
  workerSilenceMax: seconds(10),
  /** From the start of a worker until it takes clients. */
  workerStartMax: seconds(60),
  /** From a change of the picture until it is saved, and from one save to the next. */
  stateSaveDelay: seconds(1),
  stateSavePeriod: seconds(5),
  /** No turn of a proxy's event loop is to be longer. */
  turnGoal: millis(5),
  /** A longest turn is shown for one such span at least and two at most. */
  turnSpan: seconds(5),
  /** Endpoints that a process takes in, or writes down, in one turn; and loads and charges, which cost it less. */
  feedRowsMax: 48,
  feedLoadsMax: 256,
  /** Endpoints with a row of their own on a metrics page; all others are one row. */
  endpointSeriesMax: 1_000,
  /** Accepted while no worker is ready, and handed over when one is. */
  socketsWaitingMax: 1_000,
  /** What a worker may spend on rehearsing before it takes clients. */
  warmUpMax: millis(800),
  fanOutMax: 64,
  /** Calls to the proxy's own services (health watchers, reflection) that a worker holds open. */
  ownCallsMax: 4_096,
  healthListMax: 1_000,
  localMessageMax: mib(4),
  localCallTimeout: seconds(5),

  // The bus
  /** The first span of which a random part passes before NATS is dialled again; each attempt in vain doubles it. */
  busWaitFirst: seconds(1),
  busWaitMax: seconds(5),
  /** A control plane is one of few, and everybody's ear. */
  busWaitMaxControlPlane: seconds(1),
  busDialTimeout: seconds(5),
  /** Bytes that NATS has not confirmed: above the first it is asked, above the second nothing more is handed over. */
  busUnconfirmedAsk: kib(64),
  busUnconfirmedMax: kib(512),
  /** A process that stood still for so long may have lost its connection because it did not read. */
  busStallMin: seconds(1),
  /** The same complaint about NATS is logged once in this time. */
  busComplaintPeriod: seconds(10),
  /** Nodes that answer a roll call, or come back after a restart of NATS, in one second; and how many are assumed when nobody has said. */
  fleetTurnsPerSecond: 2_000,
  fleetAssumed: 1_000,
  fleetSpreadMax: seconds(5),
  /** How often control planes tell agents how many they are. */
  fleetSizePeriod: seconds(30),

  // Commands to agents
  /** From asking an agent until its answer; probes of a slow server take their time. */
  commandTimeout: seconds(5),
  probeCommandTimeout: seconds(30),
  /** An agent answers by itself so long before whoever asked gives up. */
  commandMargin: seconds(1),
  /** That one agent carries out at once, and that one control plane waits for. */
  agentCommandsMax: 4,
  commandsWaitingMax: 64,
  commandBytesMax: kib(4),
  commandAnswerBytesMax: kib(64),
  /** NATS lets an agent answer a request for so long. */
  busAnswerWithin: seconds(60),

  // Control plane
  /** In missed reports. */
  staleAfterMissed: 3,
  lastResortAfterMissed: 6,
  linkReturnGrace: seconds(5),
  /** A control plane whose tick is so late has stood still: it has not heard what was said meanwhile. */
  ownStallMin: millis(500),
  nodesMax: 20_000,
  proxiesMax: 2_000,
  membershipCoalesce: millis(20),
  /** From one round of loads, and of changes that no request could be lost by, to the next. */
  calmPushPeriod: millis(250),
  /** The same with many proxies, while loads hold that are not told: it grows by so much with each, and not beyond. */
  calmPushPerProxy: millis(0.5),
  calmPushPeriodMax: millis(500),
  /** Between two rounds, for each proxy that is told: about what a message and its answer cost, so that rounds never fill the core. */
  pushGapPerProxy: millis(0.06),
  slowStart: seconds(30),
  slowStartFloor: 0.1,
  /** So few that slow start does not push to every proxy at every tick. */
  slowStartSteps: 10,
  /** Ready reports in a row that lead out of probation. */
  probationPasses: 2,
  /** A control plane that just started has not heard of the whole fleet before this: it takes nothing away from a proxy until then. */
  settleAfter: seconds(12),
  nodeForgottenAfter: seconds(3_600),
  agentIntervalMax: seconds(60),
  /** Reports of one node that wait to be folded; the one goes that tells least. */
  waitingReportsMax: 4,
  /** Of one node: a late message of an agent that was replaced is known as such. */
  bootsRemembered: 4,
  /** Letters of an address, a name or a reason that a report carries. */
  reportTextMax: 256,
  /** Deltas sent to a proxy and not answered; above it changes wait, latest wins. */
  unansweredDeltasMax: 32,
  /** A proxy reads a message in one turn of its event loop, which is to stay short. */
  deltaBytesMax: kib(128),
  loadsPerMessageMax: 500,
  /** Newcomers told the whole fleet in one round: when every proxy comes back at once they take turns. */
  greetingsPerRound: 16,
  /** And so many bytes of them, which a connection copies for each. */
  greetingBytesPerRound: mib(32),
  /** So much is laid out for newcomers in a second: once for all of a round, and the next comes as much later as the fleet is large. */
  greetingLayoutPerSecond: mib(32),
  /** First deltas of all proxies that lie unanswered in a control plane's memory; above it the next wait for their turn. */
  greetingBytesMax: mib(64),
  /** A proxy that has not answered its first deltas after this holds up no other. */
  greetingPatience: seconds(10),
  helloBytesMax: mib(16),
  /** Loads told to proxies, over all of them and in a second; above it each proxy hears of a part of the fleet, as long as it is this much … */
  loadRowsPerSecondMax: 1_000_000,
  loadRowsMin: 256,
  /** … and so many proxies hear of each endpoint. */
  loadHearersMin: 20,
  /** While nobody's silence would show, a load that does not change is told again after this, so that its age stays true. */
  loadRefreshPeriod: seconds(1),
  /** How often a proxy is told that loads which it knows, and of which it heard nothing since, hold. */
  loadHoldPeriod: seconds(1),
  /** Loads that are laid out in one tick. */
  loadRowsPerRound: 4_000,
  /** Loads told in one tick to proxies that come or missed some, over all of them: the same bytes for many. */
  loadRowsPerTick: 100_000,
  /** Requests that one endpoint may claim to take at once. */
  capacityMax: 1_000_000,
  // Health
  /** Outcomes that proxies report are judged over so long at least, and twice that at most. */
  outcomeWindow: seconds(3),
  /** Failures of one endpoint within the window, beside fewer successes, that make it suspect. */
  suspectFailures: 10,
  /** One fresh connection settles a suspect. */
  suspectConnectTimeout: seconds(1),
  suspectConnectsAtOnce: 16,
  suspectsWaitingMax: 1_000,
  /** Between two connections to a suspect that did not answer. */
  suspectAgain: seconds(5),
  /** A suspect whose connection opened is believed again after so long without a failure, if no success comes before. */
  suspectQuiet: seconds(30),
  /** Backpressures of one endpoint within the window, beside fewer successes, that make it busy; and for how long at least. */
  busyBackpressures: 5,
  busyDwell: seconds(3),
  /** Other control planes of the mesh that are heard; one that is silent for longer is forgotten with what its proxies saw. */
  replicasMax: 16,
  replicaAlivePeriod: seconds(2),
  replicaSilenceMax: seconds(10),
  /** News of proxies that wait for the tick to be told to them. */
  sharesWaitingMax: 4_096,
  /** Of one message to them, and of one from them. */
  sharedRowsMax: 2_000,
  sharedBytesMax: kib(1_024),
  /** Throttling that pauses for less goes on. */
  throttleClear: seconds(10),
  /** Thermal or power-brake slowdown that lasts so long drains. */
  throttleDrain: seconds(30),
  /** Uncorrected errors of one GPU within the span that its endpoints may keep serving with. */
  eccErrorsMax: 2,
  eccSpan: seconds(3_600),
  /** Corrected errors of one GPU that are never held against it; and how many beyond lower its weight, or drain, until half of them are forgotten. */
  eccCorrectedPerHour: 360,
  eccCorrectedSlower: 100,
  eccCorrectedLeave: 1_000,
  /** A factor of a weight that fell rises again by one step at a time, this long apart. */
  weightRiseDwell: seconds(10),
  weightRiseStep: 0.25,
  /** A fall smaller than this is not worth telling. */
  weightFallBand: 0.05,
  /** Changes of state that are remembered: of one node, and of all. */
  changesPerNodeMax: 64,
  changesMax: 50_000,
  /** Changes of one tick that are logged and sent to watchers; the rest is counted. */
  changesPerTickMax: 1_000,
  changesWaitingMax: 5_000,
  changesLoggedBurst: 100,
  changesLoggedPerSecond: 20,
  eventsPerReportMax: 64,
  /** An agent whose name another one uses keeps it until it missed so many reports. */
  takeOverAfterMissed: 2,
  /** Old reports of one node within a minute that are worth naming. */
  replaysNamed: 10,
  /** What is odd about an agent is named for so long after it was seen last. */
  oddKept: seconds(60),
  clockOffMax: seconds(30),
  /** An endpoint that says it is idle for so long while proxies hold so many requests on it is not believed. */
  idleLieInFlight: 4,
  idleLieAfter: seconds(5),
  watchersMax: 64,
  watchPeriod: millis(250),
  intentBytesMax: kib(4),
} as const

assert(
  limits.streamWindowStart > limits.scanBudget + limits.frameSizeMax,
  'a first message can be scanned to its budget within one stream window',
)
assert(
  limits.streamWindowStart >= limits.messageHoldMax + limits.frameSizeMax,
  'a message that may be held until it is whole fits into the window of its stream',
)
assert(
  limits.promptScanMax + limits.frameSizeMax <= limits.scanBudget,
  'a request that waits for its prompt is routed before it is refused',
)
assert(limits.promptBlock * limits.promptBlocksMax <= limits.promptScanMax, 'what counts of a prompt passes before routing stops waiting')
assert(limits.promptBlock % 4 === 0, 'a block is whole words')
assert(limits.renamedInflatedMax < limits.waitingMax, 'a message that was inflated to be renamed may wait for its endpoint')
assert(limits.keepaliveAgain > seconds(300), 'keepalive never earns too_many_pings from the defaults of gRPC servers')
assert(limits.addressesPerNameMax <= limits.upstreamConnectionsMax, 'each address of a name can have its connection')
assert(limits.settingsTimeout > limits.connectTimeout, 'SETTINGS come behind the connection')
assert(limits.frameSizeMax === 16_384, 'a frame that we may receive is one that every peer must take')
assert(limits.retryCopyMax >= limits.scanBudget, 'what was buffered to route a request can also be sent twice')
assert(limits.reportPeriod % limits.samplePeriod === 0, 'a report has a sample to tell of')
assert(limits.kernelLogPoll < limits.samplePeriod, 'a fault in the log of the kernel is known before the next sample')
assert(limits.healthAgain < limits.samplePeriod, 'what is in doubt is asked sooner than what has failed')
assert(limits.loadAgeMax > limits.probeTimeout + limits.reportPeriod, 'one slow page does not make a load unknown')
assert(limits.loadAgeMax > limits.probeTimeout + limits.largePagePeriod, 'nor does a large one')
assert(limits.smiFreshMax < limits.smiSilenceMax, 'what seems to hang is asked nothing before it is called hanging')
assert(limits.smiFreshMax > limits.smiRestartFirst, 'a run that ends after each block does not count as one that hangs')
assert(limits.smiDetailsAgeMax >= 3 * limits.smiDetailsPeriod, 'one question without an answer makes nothing unknown')
assert(limits.smiAskMax < limits.smiDetailsPeriod, 'a question has its answer or its end before the next is due')
assert(limits.deepProbeLoadedPeriod >= limits.deepProbePeriod, 'a server that works is not asked more often than one that may not')
assert(limits.deepProbeTimeout >= limits.probeTimeout, 'an inference may take longer than a health answer')
assert(limits.lastResortAfterMissed > limits.staleAfterMissed, 'an endpoint is stale before it is the last resort')
assert(limits.settleAfter > limits.fullReportPeriod, 'a settled control plane has had time to hear a full report of every node')
assert(limits.settleAfter > limits.fleetSpreadMax + limits.busWaitMax, 'a settled control plane has heard the answers to its roll call')
assert(limits.busWaitMax <= limits.linkReturnGrace, 'after a restart of NATS every agent has dialled again before its silence counts')
assert(limits.busUnconfirmedMax >= limits.busUnconfirmedAsk + limits.reportBytesMax, 'NATS is asked before nothing more is handed over')
assert(limits.gpuRowBytesMax >= 16 * limits.reportTextMax, 'a GPU that is told in words of any allowed length fits into its row')
assert(limits.gpuRowBytesMax < 2 ** 16, 'the length of a row fits into two bytes')
assert(limits.takeOverAfterMissed < limits.staleAfterMissed, 'an agent that restarts takes its node over before it is stale')
assert(limits.ownStallMin < limits.staleAfterMissed * limits.reportPeriod, 'a stall that makes a node look silent is known as one')
assert(limits.suspectAgain > limits.suspectConnectTimeout, 'a connection to a suspect has ended before the next begins')
assert(limits.eccCorrectedLeave > 2 * limits.eccCorrectedSlower, 'a GPU that is taken back is slower before it is whole')
assert(limits.replicaSilenceMax >= 3 * limits.replicaAlivePeriod, 'one lost message of a control plane is no silence')
assert(limits.throttleDrain > limits.throttleClear, 'throttling that comes and goes lasts longer than its pauses before it drains')
assert(limits.changesMax >= limits.changesPerNodeMax, 'the history of one node fits')
assert(limits.changesWaitingMax >= limits.changesPerTickMax, 'a watcher that reads misses nothing of one tick')
assert(limits.busAnswerWithin > limits.probeCommandTimeout, 'an agent that takes its time may still answer')
assert(limits.commandTimeout > 2 * limits.commandMargin, 'an agent has time to carry out what it is asked')
assert(
  limits.loadRefreshPeriod + limits.reportPeriod + limits.calmPushPeriod < limits.loadAgeMax,
  'a load that does not change does not grow stale on the way',
)
assert(
  limits.proxiesMax * limits.pushGapPerProxy + limits.membershipCoalesce < 150,
  'news of a failure does not wait longer for its round than it may take to every proxy',
)
assert(limits.loadHoldPeriod <= limits.loadAgeMax / 2, 'one word that loads hold may be late')
assert(
  2 * limits.calmPushPeriodMax + limits.reportPeriod < limits.loadAgeMax,
  'a load that moves with each report does not grow stale between two tellings, however many proxies there are',
)
assert(limits.staleAfterMissed * limits.reportPeriod < limits.loadAgeMax, 'a load never holds longer without a report than it may be old')
assert(limits.workerSilenceMax >= 5 * limits.workerHeartbeat, 'a worker that is late once does not hang')
assert(limits.unreadOutputMax >= limits.socketBacklogMax + 2 * limits.slabSize, 'a backlog of DATA alone never ends a connection')
assert(limits.waitingMax > limits.streamWindowMax, 'one stream alone is never too much to wait')
assert(limits.slabSize >= 2 * (limits.frameSizeMax + 9), 'the largest frame fits into an empty slab')
assert(limits.http1RequestTimeout >= limits.http1HeadTimeout, 'a request of HTTP/1.1 has at least the time of its head')
assert(limits.proxyHeaderMax >= 536, 'a PROXY header of the size that its specification asks for is taken')
assert(limits.proxyHeaderMax < limits.readBufferSize, 'a PROXY header lies within one read')
