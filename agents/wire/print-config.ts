/** The settings in force, in the form of a --config file. Secrets are files, and only their paths are settings. */
import { stringify } from 'yaml'
import type { AgentConfig } from '../config.ts'

const ENDS_AFTER = ['check', 'json', 'printConfig', 'printConfigSchema']
/** They have become `servers`. */
const OF_ONE_SERVER = [
  'serverGrpc',
  'serverHttp',
  'serverMetrics',
  'serverName',
  'advertise',
  'models',
  'gpus',
  'capacity',
  'advertiseHost',
  'bus',
]

export function configInWords({ servers, ...config }: AgentConfig): string {
  const own = Object.entries(config).filter(([name, value]) => value !== undefined && ![...ENDS_AFTER, ...OF_ONE_SERVER].includes(name))
  const rows = servers.map(({ metricsUrl, probe, ...rest }) => ({
    ...rest,
    metrics: metricsUrl,
    probe: probe.deep ? { everyMs: probe.period, timeoutMs: probe.timeout, models: probe.questions } : 'off',
  }))
  return stringify({ ...Object.fromEntries(own.map(([name, value]) => [kebab(name), value])), servers: rows })
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
