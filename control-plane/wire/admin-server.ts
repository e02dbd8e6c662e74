/** The admin API: answers from the state as it is, and acknowledges an intent only once it is stored. */
import { type ServerWritableStream, type ServiceError, status } from '@grpc/grpc-js'
import type { GrpcService } from '../../core/edge/grpc-serve.ts'
import type { Logger } from '../../core/edge/log.ts'
import { type Millis, unixMillis } from '../../core/units.ts'
import {
  type AdminServiceServer,
  AdminServiceService,
  type Node,
  type WatchChangesRequest,
  type WatchChangesResponse,
  type WatchNodesResponse,
  type WatchWeightsResponse,
  type Weight,
} from '../../proto/gen/millrace/admin/v1/admin.ts'
import type { Intent } from '../fleet/intent.ts'
import type { Change } from '../state.ts'
import { changeView, type Moment, nodeIds, nodeView, toldView, weightView, wholeNode } from '../views/admin-views.ts'
import type { AgentCommands } from './agent-commands.ts'
import { ChangeWatchers } from './change-watchers.ts'
import type { ExplainDesk } from './explain-desk.ts'
import { type IntentStore, StoreAway } from './intent-store.ts'
import type { LoopRunner } from './loop-runner.ts'
import { Watchers } from './watchers.ts'

const NODES_NAMED_MAX = 20

const moment = (now: Millis): Moment => ({ now, wall: unixMillis(Date.now()) })

class Refused extends Error {
  readonly code: status

  constructor(code: status, details: string) {
    super(details)
    this.code = code
  }
}

export class AdminServer {
  readonly #runner: LoopRunner
  readonly #store: Pick<IntentStore, 'put'>
  readonly #commands: Pick<AgentCommands, 'handle'>
  readonly #explain: Pick<ExplainDesk, 'handle'>
  readonly #log: Logger
  readonly #self: () => string
  readonly #nodes: Watchers<Node, WatchNodesResponse>
  readonly #weights: Watchers<Weight, WatchWeightsResponse>
  readonly #changes = new ChangeWatchers()

  constructor(
    runner: LoopRunner,
    store: Pick<IntentStore, 'put'>,
    desks: { readonly commands: Pick<AgentCommands, 'handle'>; readonly explain: Pick<ExplainDesk, 'handle'> },
    log: Logger,
    self: () => string,
  ) {
    this.#runner = runner
    this.#store = store
    this.#commands = desks.commands
    this.#explain = desks.explain
    this.#log = log
    this.#self = self
    this.#nodes = new Watchers({
      all: () => runner.read(nodeIds),
      describe: (id) => runner.read((state, now) => nodeView(state, id, now)),
      message: (changed, removed) => ({ changed, removed }),
    })
    this.#weights = new Watchers({
      all: () => runner.read((state) => [...state.snapshot.ids()]),
      describe: (id) => runner.read((state) => weightView(state, id)),
      message: (changed, removed) => ({ changed, removed }),
    })
  }

  get service(): GrpcService {
    const handlers: AdminServiceServer = {
      listNodes: (_call, answer) => answer(null, { nodes: this.#listNodes() }),
      watchNodes: (call) => this.#nodes.add(call),
      watchWeights: (call) => this.#weights.add(call),
      getNode: ({ request }, answer) => {
        const whole = this.#runner.read((state, now) => wholeNode(state, request.nodeId, moment(now), this.#self()))
        if (whole === undefined) answer(asServiceError(this.#unknown(request.nodeId)))
        else answer(null, whole)
      },
      watchChanges: (call) => this.#watchChanges(call),
      commandAgent: (call, answer) => void this.#commands.handle(call, answer),
      explainRoute: (call, answer) => void this.#explain.handle(call, answer),
      drainNode: ({ request }, answer) =>
        this.#setIntent(request.nodeId, 'drain', request.reason).then(
          (node) => answer(null, { node }),
          (error) => answer(asServiceError(error)),
        ),
      undrainNode: ({ request }, answer) =>
        this.#setIntent(request.nodeId, 'serve', '').then(
          (node) => answer(null, { node }),
          (error) => answer(asServiceError(error)),
        ),
    }
    return { name: 'millrace.admin.v1.AdminService', definition: AdminServiceService, handlers }
  }

  changed(change: Change): void {
    this.#nodes.changed(change.nodes)
    this.#weights.changed(change.endpoints)
    if (change.states.length > 0)
      this.#changes.changed(this.#runner.read((_state, now) => change.states.map((one) => changeView(one, moment(now)))))
  }

  get changesLeftOut(): number {
    return this.#changes.leftOut
  }

  close(): void {
    this.#nodes.close()
    this.#weights.close()
    this.#changes.close()
  }

  #watchChanges(call: ServerWritableStream<WatchChangesRequest, WatchChangesResponse>): void {
    const { nodeId } = call.request
    if (nodeId !== '' && !this.#runner.read(nodeIds).includes(nodeId)) call.emit('error', asServiceError(this.#unknown(nodeId)))
    else this.#changes.add(call, nodeId === '' ? [] : this.#runner.read((state, now) => toldView(state, nodeId, moment(now))))
  }

  #listNodes(): Node[] {
    return this.#runner.read((state, now) => nodeIds(state).map((id) => nodeView(state, id, now))).filter((node) => node !== undefined)
  }

  #unknown(nodeId: string): Refused {
    return new Refused(status.NOT_FOUND, unknownNode(nodeId, this.#runner.read(nodeIds)))
  }

  async #setIntent(nodeId: string, want: Intent['want'], reason: string): Promise<Node | undefined> {
    if (!this.#runner.read(nodeIds).includes(nodeId)) throw this.#unknown(nodeId)
    const stored = await this.#store.put(nodeId, { want, reason, at: new Date().toISOString() })
    this.#log.info({ node: nodeId, want, reason }, 'intent.stored')
    this.#runner.dispatch({ kind: 'intent', node: nodeId, stored })
    return this.#runner.read((state, now) => nodeView(state, nodeId, now))
  }
}

function unknownNode(nodeId: string, known: readonly string[]): string {
  if (known.length === 0) return `no node "${nodeId}": no agent has reported to this control plane yet`
  const more = known.length > NODES_NAMED_MAX ? `, and ${known.length - NODES_NAMED_MAX} more` : ''
  return `no node "${nodeId}"; there are ${known.slice(0, NODES_NAMED_MAX).join(', ')}${more}`
}

function asServiceError(error: unknown): Pick<ServiceError, 'code' | 'details'> {
  if (error instanceof Refused) return { code: error.code, details: error.message }
  if (error instanceof StoreAway) return { code: status.UNAVAILABLE, details: error.message }
  return { code: status.INTERNAL, details: error instanceof Error ? error.message : String(error) }
}
