// State timeline: npm has no drawing of it. A line of coloured spans for each series.
import { FieldType, formattedValueToString, getFieldDisplayName } from '@grafana/data';
import type { DisplayValue, Field } from '@grafana/data';
import { AxisPlacement, ScaleDirection, ScaleOrientation } from '@grafana/schema';
import { getTextColorForBackground, type UPlotConfigBuilder } from '@grafana/ui';
import { NoData, type PanelProps } from './panels';
import { Plot, setFont, type Canvas } from './plot';

interface Span {
  row: number;
  from: number;
  to: number;
  text: string;
  color: string;
}

export function StateTimeline({ frames, options, fieldConfig, timeRange, theme, width, height }: PanelProps) {
  const end = timeRange.to.valueOf();
  const rows = frames.flatMap((frame) => {
    const times = frame.fields.find((field) => field.type === FieldType.time);
    const states = frame.fields.filter((field) => field.type !== FieldType.time && !field.config.custom?.hideFrom?.viz);
    return times ? states.map((field) => ({ times, field, name: getFieldDisplayName(field, frame, frames) })) : [];
  });
  if (!rows.length) return <NoData fieldConfig={fieldConfig} />;
  const spans = rows.flatMap(({ times, field }, row) => spansOf(times, field, row, end, options.mergeValues));

  const configure = (builder: UPlotConfigBuilder) => {
    builder.addScale({
      scaleKey: 'x', isTime: true, orientation: ScaleOrientation.Horizontal, direction: ScaleDirection.Right,
      range: () => [timeRange.from.valueOf(), end],
    });
    builder.addScale({
      scaleKey: 'y', orientation: ScaleOrientation.Vertical, direction: ScaleDirection.Down, range: () => [-0.5, rows.length - 0.5],
    });
    builder.addAxis({ scaleKey: 'x', isTime: true, placement: AxisPlacement.Bottom, timeZone: 'utc', theme, grid: { show: true } });
    builder.addAxis({
      scaleKey: 'y', theme, placement: AxisPlacement.Left, grid: { show: false }, ticks: { show: false },
      splits: rows.map((_, i) => i), values: () => rows.map(({ name }) => name),
    });
    builder.addSeries({ scaleKey: 'y', theme, pathBuilder: () => null, pointsBuilder: () => undefined });
  };

  const { fillOpacity = 70, lineWidth = 0 } = fieldConfig.defaults.custom ?? {};
  const paint = (canvas: Canvas) =>
    canvas.paint((context) => {
      const thickness = (canvas.height / rows.length) * options.rowHeight;
      for (const { row, from, to, text, color } of spans) {
        const [left, right] = [Math.max(canvas.left, canvas.at(from, 'x')), canvas.at(to, 'x')];
        const middle = canvas.at(row, 'y');
        context.fillStyle = context.strokeStyle = color;
        context.globalAlpha = fillOpacity / 100;
        context.fillRect(left, middle - thickness / 2, right - left, thickness);
        context.globalAlpha = 1;
        context.lineWidth = lineWidth;
        if (lineWidth) context.strokeRect(left, middle - thickness / 2, right - left, thickness);
        setFont(context, theme);
        if (options.showValue === 'never' || (options.showValue === 'auto' && context.measureText(text).width + 4 > right - left)) continue;
        const places: Record<string, [CanvasTextAlign, number]> = {
          left: ['left', left + 4], center: ['center', (left + right) / 2], right: ['right', right - 4],
        };
        const [align, x] = places[options.alignValue];
        context.textAlign = align;
        context.fillStyle = fillOpacity > 50 ? getTextColorForBackground(color) : theme.colors.text.primary;
        context.fillText(text, x, middle);
      }
    });

  const states = new Map(spans.map(({ text, color }) => [text + color, { label: text, color, yAxis: 1 }]));
  const data: any = [[timeRange.from.valueOf(), end], [0, rows.length - 1]];
  return <Plot {...{ width, height, configure, data, paint }} legend={options.legend} legendItems={[...states.values()]} />;
}

function spansOf(times: Field, field: Field, row: number, end: number, isMerging: boolean): Span[] {
  const spans: Span[] = [];
  const step = times.config.interval ?? Infinity;
  field.values.forEach((value, i) => {
    if (value == null) return;
    const state = field.display!(value);
    const text = textOf(state, field);
    const color = state.color ?? '#808080';
    const from = times.values[i];
    // A state lasts until the next sample; where samples are missing it is not known.
    const to = Math.min(times.values[i + 1] ?? from + step, from + step, end);
    const last = spans.at(-1);
    if (isMerging && last && last.to === from && last.text === text && last.color === color) last.to = to;
    else spans.push({ row, from, to, text, color });
  });
  return spans;
}

/** A number that is coloured by thresholds and has no name is shown as its range, as Grafana does: "80+". */
function textOf(state: DisplayValue, field: Field): string {
  const { color, thresholds, mappings } = field.config;
  const steps = thresholds?.steps ?? [];
  if (field.type !== FieldType.number || color?.mode !== 'thresholds' || mappings?.length || steps.length < 2) {
    return formattedValueToString(state);
  }
  const format = (value: number) => formattedValueToString(field.display!(value));
  const reached = steps.findLast((step) => step.value <= state.numeric);
  return reached && reached.value !== -Infinity ? `${format(reached.value)}+` : `< ${format(steps[1].value)}`;
}
