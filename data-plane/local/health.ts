/**
 * grpc.health.v1 of a proxy: whether requests would be served, as a whole, by service and by model. A name is the proxy's own service, else the
 * service of a route, else a model that somebody names; what only an endpoint of every model would take is not known by name.
 * Serving means that an endpoint would be asked which neither its agent nor this proxy takes for broken.
 */
import { limits } from '../../core/limits.ts'
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthListResponse,
  HealthCheckResponse_ServingStatus as STATUS,
} from '../../proto/gen/grpc/health/v1/health.ts'
import { OWN_SERVICES } from '../grpc/methods.ts'
import { GRPC } from '../grpc/status.ts'
import type { RoutingTable } from '../routing/routing-table.ts'
import type { LocalCall, LocalHandler } from './local-stream.ts'

type Serving = typeof STATUS.SERVING | typeof STATUS.NOT_SERVING

/** Undefined: nobody by this name is known. */
export function healthOf(name: string, routing: RoutingTable, draining: boolean): Serving | undefined {
  const serves = canServe(name, routing)
  if (serves === undefined) return undefined
  return serves && !draining ? STATUS.SERVING : STATUS.NOT_SERVING
}

function canServe(name: string, routing: RoutingTable): boolean | undefined {
  if (name === '' || OWN_SERVICES.includes(name)) return routing.servesAny
  const routed = routing.routeOf(`/${name}/`)
  if (routed !== undefined) return routing.servesRoutedTo(routed)
  return routing.namesModel(name) ? routing.servesName(name) : undefined
}

/** Tells callers of the state now, and watchers of each later one. */
export class HealthDesk {
  readonly check: LocalHandler
  readonly watch: LocalHandler
  readonly list: LocalHandler
  readonly #routing: () => RoutingTable
  /** What each watcher asked for and was told last. */
  readonly #watchers = new Map<LocalCall, { readonly name: string; told: number | undefined }>()
  #draining = false

  constructor(routing: () => RoutingTable) {
    this.#routing = routing
    const nothing = (): void => {}
    this.check = { requests: 'one', onMessage: (call, message) => this.#check(call, message), onHalfClose: endWell, onOver: nothing }
    this.list = { requests: 'one', onMessage: (call) => this.#list(call), onHalfClose: endWell, onOver: nothing }
    this.watch = {
      requests: 'one',
      onMessage: (call, message) => this.#begin(call, message),
      onHalfClose: nothing,
      onOver: (call) => this.#watchers.delete(call),
    }
  }

  /** To be called now and then: a state that changes back in between is not told. */
  look(): void {
    if (this.#watchers.size === 0) return
    const states = new Map<string, number>()
    for (const [call, watcher] of this.#watchers) {
      const state = states.get(watcher.name) ?? this.#stateOf(watcher.name)
      states.set(watcher.name, state)
      // One that does not read is told the newest state once it does.
      if (state === watcher.told || call.behind) continue
      watcher.told = state
      call.send(encode(state))
    }
  }

  /** The last word to every watcher: this proxy, or this part of it, is going away. */
  drain(): void {
    this.#draining = true
    this.look()
    for (const call of [...this.#watchers.keys()]) call.end(GRPC.UNAVAILABLE, GOING)
  }

  #check(call: LocalCall, message: Uint8Array): void {
    const name = nameIn(call, message)
    if (name === undefined) return
    const state = healthOf(name, this.#routing(), this.#draining)
    if (state === undefined) call.end(GRPC.NOT_FOUND, `no service, route or model is called ${JSON.stringify(name)}`)
    else call.send(encode(state))
  }

  #begin(call: LocalCall, message: Uint8Array): void {
    const name = nameIn(call, message)
    if (name === undefined) return
    const told = this.#stateOf(name)
    call.send(encode(told))
    if (this.#draining) call.end(GRPC.UNAVAILABLE, GOING)
    else this.#watchers.set(call, { name, told })
  }

  #list(call: LocalCall): void {
    const names = ['', ...OWN_SERVICES, ...this.#routing().modelNames]
    if (names.length > limits.healthListMax)
      return call.end(GRPC.RESOURCE_EXHAUSTED, `more than ${limits.healthListMax} names: ask for those that matter`)
    const statuses = Object.fromEntries(names.map((name) => [name, { status: this.#stateOf(name) }]))
    call.send(HealthListResponse.encode({ statuses }).finish())
  }

  #stateOf(name: string): HealthCheckResponse['status'] {
    return healthOf(name, this.#routing(), this.#draining) ?? STATUS.SERVICE_UNKNOWN
  }
}

const GOING = 'this proxy is going away: ask again on a new connection'

const endWell = (call: LocalCall): void => call.end(GRPC.OK, '')

const encode = (status: number): Uint8Array => HealthCheckResponse.encode({ status: status as HealthCheckResponse['status'] }).finish()

/** Undefined when the call was ended for what it sent. */
function nameIn(call: LocalCall, message: Uint8Array): string | undefined {
  try {
    return HealthCheckRequest.decode(message).service
  } catch {
    call.end(GRPC.INVALID_ARGUMENT, 'illegal protobuf')
    return undefined
  }
}
