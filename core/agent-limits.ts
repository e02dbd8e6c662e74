/** Bounds of what an agent looks at and tells; part of `limits`, where their relations are asserted. */
import { kib, mib, millis, seconds } from './units.ts'

export const agentLimits = {
  samplePeriod: millis(250),
  reportPeriod: millis(500),
  fullReportPeriod: seconds(10),
  reportBytesMax: kib(256),
  gpusPerNodeMax: 64,
  /** Of what is said of one GPU, with its MIG instances. */
  gpuRowBytesMax: kib(8),
  endpointsPerNodeMax: 64,
  probeTimeout: seconds(1),
  /** A tiny real inference: how long it may take, how often it is asked, and at most this share of the time that a server has. */
  deepProbeTimeout: seconds(5),
  deepProbePeriod: seconds(10),
  deepProbeShare: 0.01,
  /** After an answer that was not well: soon enough to tell one slip from a fault. */
  deepProbeAgain: seconds(1),
  /** A server that finishes others' requests shows by that that it works. */
  deepProbeLoadedPeriod: seconds(60),
  deepProbeBytesMax: mib(1),
  /** Requests wait and none was finished for longer than this: that is no long request any more. */
  workSilenceMax: seconds(120),
  /** A first report waits so long for a first look at every server, so that an agent that starts anew does not call a ready server unknown. */
  firstLookMax: seconds(2),
  /** Asked at the first report's time after it: every fourth. */
  modelListPeriod: millis(1_750),
  /** An agent that has not looked for longer stands still. */
  lookSilenceMax: seconds(5),
  /** How often files of servers are looked at, how many of a folder, and how large one may be. */
  serverFilesPoll: seconds(1),
  serverFilesMax: 64,
  serverFileMax: kib(256),
  /** How often the usual ports are asked for servers that nobody told of, and how long one that went is still reported, as failed. */
  discoverPeriod: seconds(10),
  foundServerForgotten: seconds(600),
  smiSilenceMax: seconds(5),
  /** While no row is older, nvidia-smi may be asked something else. */
  smiFreshMax: seconds(3),
  /** Without persistence mode the driver wakes every GPU first, and nvidia-smi takes seconds a GPU before its first line. */
  smiStartMax: seconds(60),
  smiRestartFirst: seconds(1),
  smiRestartMax: seconds(60),
  smiLineMax: kib(4),
  /** A record of the kernel's log, or a line of one that is a file. The kernel hands out none that is longer. */
  kernelLineMax: kib(8),
  /** Of a file, from its end: what is read of the time before the agent. */
  kernelHistoryMax: mib(4),
  /** How often a source of the kernel's log that cannot wait is asked for more. */
  kernelLogPoll: millis(100),
  /** Records that are taken in one turn of the event loop. */
  kernelRecordsPerTurn: 256,
  /** A program that can read the kernel's log has begun to print it within this time, and printed what was in it within as much again. */
  kernelLogStart: seconds(3),
  /** Until a source that ended, or is not there, is tried again. */
  kernelLogAgain: seconds(5),
  /** Xids that wait for a report, or are told again to one who asks; the oldest goes. */
  xidNotesMax: 32,
  /** Lines about Xids in the agent's own log; a failing application makes thousands. */
  xidLogLinesPerMinute: 60,
  /** What the rows do not tell is asked for this often, and dropped when it is older than `smiDetailsAgeMax`. */
  smiDetailsPeriod: seconds(30),
  smiDetailsAgeMax: seconds(100),
  /** A GPU that flutters between states is not asked about more often. */
  smiDetailsGapMin: seconds(2),
  /** A single question to nvidia-smi; without persistence mode it wakes every GPU first. */
  smiAskMax: seconds(20),
  smiAnswerMax: mib(8),
  /** Questions that wait for the one being asked; more are turned away. */
  smiAsksWaitingMax: 4,
  migInstancesPerGpuMax: 64,
  computeAppsMax: 4_096,
  /** How often it is asked which processes use which GPU, and how soon after a server came or went. */
  bindingPeriod: seconds(30),
  bindingGap: seconds(1),
  /** Processes on GPUs, with all that they descend from, and files of each that are looked at. */
  processesReadMax: 1_000,
  filesReadPerProcessMax: 65_536,
  hostPeriod: seconds(1),
  /** A server that is well is asked for its health at every report's time, over a connection that stands; whose loss, or a bad answer, has it asked so soon after. */
  healthAgain: millis(100),
  /** Then the connection is a fresh one, which also asks whether the port still accepts: every fourth question. */
  healthConnectionAge: millis(1_750),
  /** A load older than this is unknown. */
  loadAgeMax: seconds(2),
  modelsPerEndpointMax: 1_000,
  metricsPageMax: mib(4),
  /** Reading a larger page costs so much that it is not read with every sample, but after this time. */
  largePage: kib(64),
  largePagePeriod: millis(750),
  /** Of a metrics page, and only of the families that are read; a line beyond is no sample. */
  metricSamplesMax: 2_000,
  metricLineMax: kib(16),
  /** A server whose models each have a page of their own is asked for so many of them at most, and its load is unknown above. */
  loadPagesMax: 16,
} as const
