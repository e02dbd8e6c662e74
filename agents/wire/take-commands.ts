/**
 * Carries out what this agent is asked to do at once, and answers in words for a person. Bounded: a few at a time, each for as long as the asker waits;
 * who comes beyond that is told so. Everything is counted by how it ended.
 */
import type { Logger } from '../../core/edge/log.ts'
import type { NatsLink } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { commandSubject } from '../../core/subjects.ts'
import { AgentAnswer, AgentCommand } from '../../proto/gen/millrace/telemetry/v1/command.ts'
import { type EndpointReport, endpointHealthToJSON } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type CommandPorts = {
  /** Resolves when every server of the host was probed. */
  readonly probe: () => Promise<void>
  readonly endpoints: () => readonly Pick<EndpointReport, 'id' | 'health' | 'healthReason'>[]
  /** False when the bus did not take it. */
  readonly reportNow: () => boolean
  /** Undefined lifts it. */
  readonly drain: (reason: string | undefined) => void
  readonly clearGpuFault: (gpu: string) => AgentAnswer
  readonly count: (ended: CommandEnd) => void
  readonly log: Logger
}

export type CommandEnd = 'done' | 'not-done' | 'unreadable' | 'busy' | 'too-late' | 'failed'

type Ended = { readonly end: CommandEnd; readonly answer: AgentAnswer }

export class Commands {
  readonly #ports: CommandPorts
  #open = 0

  constructor(ports: CommandPorts) {
    this.#ports = ports
  }

  async follow(link: Pick<NatsLink, 'subscribe'>, mesh: string, node: string): Promise<void> {
    await link.subscribe(commandSubject(mesh, node), (message, _, answer) => {
      void this.take(message).then((told) => answer(AgentAnswer.encode(told).finish()))
    })
  }

  async take(message: Uint8Array): Promise<AgentAnswer> {
    const { end, answer } = await this.#bounded(message)
    this.#ports.count(end)
    return answer
  }

  async #bounded(message: Uint8Array): Promise<Ended> {
    const command = parse(message)
    if (command === undefined)
      return { end: 'unreadable', answer: no('the agent does not know this command; it may be older than the control plane') }
    if (this.#open >= limits.agentCommandsMax)
      return { end: 'busy', answer: no(`the agent carries out ${limits.agentCommandsMax} commands already`) }
    this.#open++
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<Ended>((resolve) => {
      const ms = timeoutOf(command) - limits.commandMargin
      timer = setTimeout(() => resolve({ end: 'too-late', answer: no(`not done within ${ms} ms; it goes on`) }), ms)
    })
    const asked = this.#ask(command).finally(() => {
      this.#open--
      clearTimeout(timer)
    })
    return await Promise.race([asked, late])
  }

  async #ask(command: Command): Promise<Ended> {
    this.#ports.log.info({ command: command.$case }, 'command.taken')
    try {
      const answer = await this.#carryOut(command)
      return { end: answer.done ? 'done' : 'not-done', answer }
    } catch (error) {
      this.#ports.log.error({ command: command.$case, err: error }, 'command.failed')
      return { end: 'failed', answer: no((error as Error).message) }
    }
  }

  async #carryOut(command: Command): Promise<AgentAnswer> {
    const { probe, endpoints, reportNow, drain, clearGpuFault } = this.#ports
    switch (command.$case) {
      case 'probeNow':
        await probe()
        return yes(endpoints().map(inWords).join('\n') || 'there is no server to probe')
      case 'reportNow':
        return reportNow() ? yes('a full report is on its way') : no('the bus did not take the report; ask again')
      case 'localDrain':
        drain(command.value.reason.slice(0, limits.reportTextMax))
        return yes('no new request comes here until local-undrain, or until the agent starts anew')
      case 'localUndrain':
        drain(undefined)
        return yes('new requests may come here')
      case 'clearGpuFault':
        return clearGpuFault(command.value.gpuUuid.slice(0, limits.reportTextMax))
      default:
        return command satisfies never
    }
  }
}

type Command = NonNullable<AgentCommand['command']>

const yes = (detail: string): AgentAnswer => ({ done: true, detail })
const no = (detail: string): AgentAnswer => ({ done: false, detail })

function parse(message: Uint8Array): Command | undefined {
  if (message.length > limits.commandBytesMax) return undefined
  try {
    return AgentCommand.decode(message).command
  } catch {
    return undefined
  }
}

const timeoutOf = ({ $case }: Command): number => ($case === 'probeNow' ? limits.probeCommandTimeout : limits.commandTimeout)

function inWords({ id, health, healthReason }: Pick<EndpointReport, 'id' | 'health' | 'healthReason'>): string {
  const state = endpointHealthToJSON(health).replace('ENDPOINT_HEALTH_', '')
  return `${id}: ${state}${healthReason === '' ? '' : ` (${healthReason})`}`
}
