// Runs the queries of a panel and gives the data frames that Grafana's Prometheus data source would give.
import { FieldType, createDataFrame, dateTime, rangeUtil } from '@grafana/data';
import type { DataFrame, Labels, TimeRange } from '@grafana/data';
import { prometheus } from './prometheus';
import type { Panel, PanelData, Settings, Target } from './types';
import { constants, inPromql, interpolate, type Variables } from './variables';

interface Series {
  metric: Labels;
  values: Array<[number, string]>;
}

interface Exemplar {
  time: number;
  value: number;
}

export function timeRangeOf(panel: Panel, settings: Settings): TimeRange {
  const from = panel.timeFrom ? settings.to - rangeUtil.intervalToMs(panel.timeFrom) : settings.from;
  return { from: dateTime(from), to: dateTime(settings.to), raw: { from: dateTime(from), to: dateTime(settings.to) } };
}

export async function query(panel: Panel, width: number, settings: Settings, variables: Variables): Promise<PanelData> {
  const timeRange = timeRangeOf(panel, settings);
  const targets = (panel.targets ?? []).filter((target) => !target.hide);
  const answers = await Promise.all(targets.map((target) => run(panel, target, width, timeRange, settings, variables)));
  const tables = targets.filter((target) => target.format === 'table').length;
  const frames = targets.flatMap((target, i) => {
    const { series, step, expr } = answers[i];
    if (!series.length) return [];
    if (target.format === 'table') return [asTable(target, series, tables > 1)];
    return series.map((one) => asTimeSeries(target, one, step, expr));
  });
  return { frames, exemplars: answers.flatMap((answer) => answer.exemplars), timeRange };
}

async function run(panel: Panel, target: Target, width: number, range: TimeRange, settings: Settings, variables: Variables) {
  const source = target.datasource ?? panel.datasource;
  const type = typeof source === 'object' ? source?.type : undefined;
  if (type && type !== 'prometheus') throw new Error(`data source "${type}" is not supported, only prometheus is`);

  const least = interpolate(target.interval || panel.interval || `${settings.scrapeSeconds}s`, variables, inPromql);
  const scrape = rangeUtil.intervalToMs(least.replace(/^>/, ''));
  const step = rangeUtil.calculateInterval(range, panel.maxDataPoints ?? width, least).intervalMs;
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  // Grafana's documented minimum: a rate over four scrapes survives the loss of one.
  const rate = Math.max(step + scrape, 4 * scrape);
  const expr = interpolate(
    target.expr ?? '',
    new Map([
      ...variables,
      ...constants({
        __interval: `${step}ms`,
        __interval_ms: step,
        __rate_interval: `${rate}ms`,
        __rate_interval_ms: rate,
        __range: `${to - from}ms`,
        __range_s: Math.round((to - from) / 1000),
        __range_ms: to - from,
      }),
    ]),
    inPromql
  );
  // Multiples of the step, so that the points stay where they are when the board is drawn again.
  const start = (Math.floor(from / step) * step) / 1000;
  const end = (Math.floor(to / step) * step) / 1000;

  const series: Series[] = [];
  if (target.instant) series.push(...read(await prometheus('query', { query: expr, time: to / 1000 })));
  if (target.range || !target.instant) {
    series.push(...read(await prometheus('query_range', { query: expr, start, end, step: step / 1000 })));
  }
  const exemplars = target.exemplar ? await prometheus('query_exemplars', { query: expr, start: from / 1000, end: to / 1000 }) : [];
  return { series, step, expr, exemplars: asExemplars(target, exemplars, step) };
}

function read({ resultType, result }: any): Series[] {
  if (resultType === 'scalar') return [{ metric: {}, values: [result] }];
  if (resultType === 'string') throw new Error('the query gives a string');
  return result.map(({ metric, value, values }: any) => ({ metric, values: values ?? [value] }));
}

const timesOf = ({ values }: Series) => values.map(([seconds]) => seconds * 1000);
const numbersOf = ({ values }: Series) => values.map(([, text]) => parseNumber(text));
// Number('+Inf') is NaN.
const parseNumber = (text: string) => (/Inf$/.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text));

function legend({ legendFormat = '' }: Target, { metric: { __name__ = '', ...labels } }: Series, expr: string): string | undefined {
  if (legendFormat === '__auto') return Object.keys(labels).length || __name__ ? undefined : expr;
  if (legendFormat) return legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => (name === '__name__' ? __name__ : (labels[name] ?? '')));
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return `${__name__}${pairs.length ? `{${pairs.join(', ')}}` : ''}` || expr;
}

function asTimeSeries(target: Target, series: Series, step: number, expr: string): DataFrame {
  const name = legend(target, series, expr);
  return createDataFrame({
    refId: target.refId,
    name,
    fields: [
      // The interval lets the graph break its line where samples are missing.
      { name: 'Time', type: FieldType.time, values: timesOf(series), config: { interval: step } },
      { name: 'Value', type: FieldType.number, labels: series.metric, values: numbersOf(series), config: { displayNameFromDS: name } },
    ],
  });
}

function asTable(target: Target, series: Series[], isOneOfMany: boolean): DataFrame {
  const rows = series.flatMap((one) => one.values.map(([seconds, text]) => ({ metric: one.metric, seconds, text })));
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: rows.map(({ seconds }) => seconds * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: rows.map(({ metric }) => metric[label] ?? '') })),
      { name: isOneOfMany ? `Value #${target.refId}` : 'Value', type: FieldType.number, values: rows.map(({ text }) => parseNumber(text)) },
    ],
  });
}

function asExemplars(target: Target, answer: any[], step: number): DataFrame[] {
  const all = answer.flatMap((series) => series.exemplars).map(({ timestamp, value }) => ({ time: timestamp * 1000, value: Number(value) }));
  if (!all.length) return [];
  const exemplars = sample(all, step);
  return [
    createDataFrame({
      refId: target.refId,
      name: 'exemplar',
      fields: [
        { name: 'Time', type: FieldType.time, values: exemplars.map(({ time }) => time) },
        { name: 'Value', type: FieldType.number, values: exemplars.map(({ value }) => value) },
      ],
    }),
  ];
}

/** Of each step the highest exemplar, and those that are well apart from the one above: Grafana shows no more either. */
function sample(all: Exemplar[], step: number): Exemplar[] {
  const mean = all.reduce((sum, { value }) => sum + value, 0) / all.length;
  const deviation = Math.sqrt(all.reduce((sum, { value }) => sum + (value - mean) ** 2, 0) / all.length);
  const last = new Map<number, number>();
  return all
    .sort((a, b) => b.value - a.value)
    .filter(({ time, value }) => {
      const at = Math.floor(time / step);
      const isApart = !last.has(at) || last.get(at)! - value > 2 * deviation;
      if (isApart) last.set(at, value);
      return isApart;
    });
}
