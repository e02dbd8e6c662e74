/**
 * Passes an operator's command on to a node's agent by way of NATS, and its answer back. Every question has a deadline and counts by how it ended; so
 * many wait at once. A command is not repeated here: whoever asked knows best whether it may be.
 */
import { type ServerUnaryCall, type ServiceError, type sendUnaryData, status } from '@grpc/grpc-js'
import type { Logger } from '../../core/edge/log.ts'
import { type NatsLink, NoAnswer } from '../../core/edge/nats-link.ts'
import { isNodeId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { commandSubject } from '../../core/subjects.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { CommandAgentRequest, CommandAgentResponse } from '../../proto/gen/millrace/admin/v1/admin.ts'
import { AgentAnswer, AgentCommand } from '../../proto/gen/millrace/telemetry/v1/command.ts'

export const COMMAND_ENDS = ['done', 'not-done', 'nobody-listens', 'deadline', 'link-down', 'illegal', 'too-many', 'unreadable'] as const
export type CommandEnd = (typeof COMMAND_ENDS)[number]

type Refusal = Pick<ServiceError, 'code' | 'details'>
type Ended = { readonly end: CommandEnd; readonly refusal: Refusal } | { readonly end: 'done' | 'not-done'; readonly answer: AgentAnswer }

export class AgentCommands {
  readonly ends = Object.fromEntries(COMMAND_ENDS.map((end) => [end, 0])) as Record<CommandEnd, number>
  readonly #mesh: string
  readonly #log: Logger
  #link: Pick<NatsLink, 'request' | 'detail'> | undefined
  #waiting = 0

  constructor(mesh: string, log: Logger) {
    this.#mesh = mesh
    this.#log = log
  }

  follow(link: Pick<NatsLink, 'request' | 'detail'>): void {
    this.#link = link
  }

  async handle(
    { request }: Pick<ServerUnaryCall<CommandAgentRequest, CommandAgentResponse>, 'request'>,
    answer: sendUnaryData<CommandAgentResponse>,
  ): Promise<void> {
    const ended = await this.#ask(request)
    this.ends[ended.end]++
    this.#log.info(
      { node: request.nodeId.slice(0, limits.reportTextMax), command: request.command?.command?.$case, end: ended.end },
      'agent.command',
    )
    if ('answer' in ended) answer(null, { answer: ended.answer })
    else answer(ended.refusal)
  }

  async #ask({ nodeId, command }: CommandAgentRequest): Promise<Ended> {
    if (!isNodeId(nodeId)) return refuse('illegal', status.INVALID_ARGUMENT, 'node_id is no name of a node')
    if (command?.command === undefined)
      return refuse('illegal', status.INVALID_ARGUMENT, 'there is no command that this control plane knows')
    const bytes = AgentCommand.encode(command).finish()
    if (bytes.length > limits.commandBytesMax)
      return refuse('illegal', status.INVALID_ARGUMENT, `a command has at most ${limits.commandBytesMax} bytes, this one ${bytes.length}`)
    if (this.#waiting >= limits.commandsWaitingMax)
      return refuse('too-many', status.RESOURCE_EXHAUSTED, `${limits.commandsWaitingMax} commands wait for their agents already`)
    if (this.#link === undefined) return away(nodeId, new NoAnswer('link-down'), millis(0), 'it did not answer yet')
    const deadline = command.command.$case === 'probeNow' ? limits.probeCommandTimeout : limits.commandTimeout
    this.#waiting++
    try {
      return read(nodeId, await this.#link.request(commandSubject(this.#mesh, nodeId), bytes, deadline))
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      return away(nodeId, error, deadline, this.#link.detail())
    } finally {
      this.#waiting--
    }
  }
}

const refuse = (end: CommandEnd, code: status, details: string): Ended => ({ end, refusal: { code, details } })

function away(nodeId: string, { why }: NoAnswer, deadline: Millis, detail: string): Ended {
  switch (why) {
    case 'nobody-listens':
      return refuse(why, status.UNAVAILABLE, `no agent of the name "${nodeId}" listens; see that it runs and is connected to NATS`)
    case 'deadline':
      return refuse(
        why,
        status.DEADLINE_EXCEEDED,
        `the agent of "${nodeId}" did not answer within ${deadline} ms; it may still do what it was asked`,
      )
    case 'link-down':
      return refuse(
        why,
        status.UNAVAILABLE,
        `the command was not sent, or its answer was lost: NATS is away${detail === '' ? '' : ` (${detail})`}`,
      )
    default:
      return why satisfies never
  }
}

function read(nodeId: string, bytes: Uint8Array): Ended {
  if (bytes.length > limits.commandAnswerBytesMax)
    return refuse('unreadable', status.INTERNAL, `the agent of "${nodeId}" answered at too great length`)
  try {
    const answer = AgentAnswer.decode(bytes)
    return { end: answer.done ? 'done' : 'not-done', answer }
  } catch (error) {
    return refuse(
      'unreadable',
      status.INTERNAL,
      `the agent of "${nodeId}" answered something that is no answer (${(error as Error).message})`,
    )
  }
}
