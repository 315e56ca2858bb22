// The limits of a passport in words.

import type { Constraints } from '../../ts/types.ts'
import { el, type Content } from './dom.ts'
import { code, count, visible } from './text.ts'

type Limit = readonly [title: string, value: Content]

const usd = (micro: number): string =>
  `${(micro / 1_000_000).toLocaleString('en-US', { maximumFractionDigits: 6 })} USD`

const requests = (most: number): string => `${count(most)} requests`

/** Every entry, one after the other; an empty list lets nothing through. */
function entries(list: readonly string[]): Content {
  return list.length === 0 ? 'nothing' : list.map((entry): Content => [code(entry, 80), ' '])
}

function contextLimits(context: Constraints['context']): Limit[] {
  return Object.entries(context ?? {}).map(([name, values]) => {
    return [`only ${name}`, entries(typeof values === 'string' ? [values] : values)]
  })
}

function all({ spend, rate, domains, resources, context, max_records, purpose, task, labels }: Constraints): Limit[] {
  const texts: readonly (readonly [string, Content | undefined])[] = [
    ['spend at once', spend?.per_transaction_micro_usd === undefined ? undefined : usd(spend.per_transaction_micro_usd)],
    ['spend a day', spend?.daily_micro_usd === undefined ? undefined : usd(spend.daily_micro_usd)],
    ['spend a month', spend?.monthly_micro_usd === undefined ? undefined : usd(spend.monthly_micro_usd)],
    ['spend in all', spend?.total_micro_usd === undefined ? undefined : usd(spend.total_micro_usd)],
    ['a minute', rate?.requests_per_minute === undefined ? undefined : requests(rate.requests_per_minute)],
    ['an hour', rate?.requests_per_hour === undefined ? undefined : requests(rate.requests_per_hour)],
    ['a day', rate?.requests_per_day === undefined ? undefined : requests(rate.requests_per_day)],
    ['only hosts', domains && entries(domains)],
    ['only resources', resources && entries(resources)],
    ['records at once', max_records === undefined ? undefined : count(max_records)],
    ['purpose', purpose === undefined ? undefined : visible(purpose)],
    ['task', task === undefined ? undefined : visible(task)],
    ['labels', labels && entries(labels)],
  ]
  const given = texts.flatMap(([title, value]): Limit[] => (value === undefined ? [] : [[title, value]]))
  return [...given, ...contextLimits(context)]
}

/** The limits as a list; `null` when there are none. */
export function limitList(limits: Constraints | null): Content {
  if (limits === null) return null
  const items = all(limits).map(([title, value]) => el('li', {}, visible(title), ': ', value))
  return el('ul', { class: 'limits' }, ...items)
}
