// Panel types that @grafana/ui has the drawing of, and the list of all.
import { FieldType, applyNullInsertThreshold, getDisplayValueAlignmentFactors, getFieldDisplayValues, renderTextPanelMarkdown, textUtil } from '@grafana/data';
import type { DataFrame, FieldConfigSource, FieldDisplay, GrafanaTheme2, TimeRange } from '@grafana/data';
import { BarGauge, BigValue, EventsCanvas, RenderUserContentAsHTML, TimeSeries, VizRepeater, type UPlotConfigBuilder } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { useLayoutEffect, useRef, type ReactNode } from 'react';
import type uPlot from 'uplot';
import { optionsOf } from './defaults';
import { StateTimeline } from './state-timeline';

export interface PanelProps {
  frames: DataFrame[];
  exemplars: DataFrame[];
  fieldConfig: FieldConfigSource<any>;
  options: any;
  timeRange: TimeRange;
  theme: GrafanaTheme2;
  width: number;
  height: number;
  replaceVariables: (text: string) => string;
}

export const PANELS: Record<string, (props: PanelProps) => ReactNode> = {
  stat: Stat,
  bargauge: BarGauges,
  timeseries: Graph,
  table: Table,
  'state-timeline': StateTimeline,
  text: Text,
};

interface ValuesProps extends PanelProps {
  type: string;
  isGrid?: boolean;
  sparkline?: boolean;
  percentChange?: boolean;
  spacing: number;
  children: (value: FieldDisplay, place: any) => ReactNode;
}

/** Lays out one drawing for each reduced value, as stat and bar gauge do. */
function Values({ type, isGrid = true, sparkline = false, percentChange = false, spacing, children, ...props }: ValuesProps) {
  const { options, fieldConfig, frames, replaceVariables, theme, width, height } = props;
  const { reduceOptions, orientation, sizing } = options;
  const { minVizWidth, minVizHeight, maxVizHeight } = sizing === 'manual' ? options : optionsOf(type, {});
  const reduce = () =>
    getFieldDisplayValues({ fieldConfig, reduceOptions, replaceVariables, theme, data: frames, sparkline, percentChange, timeZone: 'utc' });
  return (
    <VizRepeater<FieldDisplay, any>
      {...{ width, height, orientation, minVizWidth, minVizHeight, maxVizHeight }}
      getValues={reduce}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, ...place }) => <>{children(value, place)}</>}
      source={frames}
      renderCounter={0}
      autoGrid={isGrid}
      itemSpacing={spacing}
    />
  );
}

function Stat(props: PanelProps) {
  const { options, theme, timeRange } = props;
  const { graphMode, colorMode, justifyMode, textMode, text, percentChangeColorMode } = options;
  return (
    <Values {...props} type="stat" spacing={3} sparkline={graphMode !== 'none'} percentChange={options.showPercentChange}>
      {(value, { orientation, ...place }) => (
        <BigValue
          {...{ ...place, theme, graphMode, colorMode, justifyMode, textMode, text, percentChangeColorMode }}
          value={value.display}
          sparkline={value.sparkline && { ...value.sparkline, timeRange }}
          disableWideLayout={!options.wideLayout}
        />
      )}
    </Values>
  );
}

function BarGauges(props: PanelProps) {
  const { options, theme } = props;
  const { displayMode, showUnfilled, valueMode, namePlacement, text } = options;
  const spacing = displayMode === 'lcd' ? 2 : 10;
  return (
    <Values {...props} type="bargauge" isGrid={false} spacing={spacing}>
      {({ display, field, view, colIndex }, { count, ...place }) => (
        <BarGauge
          {...{ ...place, theme, field, displayMode, showUnfilled, namePlacement, text }}
          display={colIndex === undefined ? undefined : view?.getFieldDisplayProcessor(colIndex)}
          value={count === 1 && !field.displayName ? { ...display, title: undefined } : display}
          itemSpacing={spacing}
          lcdCellWidth={12}
          valueDisplayMode={valueMode}
        />
      )}
    </Values>
  );
}

function Graph({ frames, exemplars, options, timeRange, theme, width, height }: PanelProps) {
  // As in Grafana's panel: a series breaks where its samples are missing. TimeSeries sees to that in the first only.
  const range = { refFieldPseudoMin: timeRange.from.valueOf(), refFieldPseudoMax: timeRange.to.valueOf() };
  const broken = frames.map((frame) => applyNullInsertThreshold({ frame, ...range }));
  return (
    <TimeSeries {...{ timeRange, width, height, options }} frames={broken} structureRev={1} timeZone="utc" legend={options.legend}>
      {(config) => <Exemplars {...{ config, exemplars, theme }} />}
    </TimeSeries>
  );
}

/** A diamond for each exemplar, at its value; at the edge when its value is outside of the axis, as in Grafana. */
function Exemplars({ config, exemplars, theme }: Pick<PanelProps, 'exemplars' | 'theme'> & { config: UPlotConfigBuilder }) {
  const plot = useRef<uPlot>(null);
  useLayoutEffect(() => config.addHook('init', (made: uPlot) => void (plot.current = made)), [config]);
  const marker = <div style={{ width: 7, height: 7, transform: 'rotate(45deg)', background: theme.visualization.getColorByName('blue') }} />;
  const place = (frame: DataFrame, i: number) => {
    const [time, value] = frame.fields.map(({ values }) => values[i]);
    const scale = config.scaleKeys[1];
    const { min, max } = plot.current?.scales[scale] ?? {};
    if (min == null || max == null) return undefined;
    return { x: plot.current!.valToPos(time, 'x'), y: plot.current!.valToPos(Math.min(max, Math.max(min, value)), scale) };
  };
  return <EventsCanvas id="exemplars" config={config} events={exemplars} renderEventMarker={() => marker} mapEventToXYCoords={place} />;
}

function Table({ frames, options, fieldConfig, timeRange, width, height }: PanelProps) {
  const frame = frames[options.frameIndex] ?? frames[0];
  if (!frame?.fields.some((field) => field.values.length)) return <NoData fieldConfig={fieldConfig} />;
  return (
    <TableNG
      {...{ width, height, timeRange, fieldConfig }}
      data={frame}
      structureRev={1}
      noHeader={!options.showHeader}
      showTypeIcons={options.showTypeIcons}
      sortBy={options.sortBy}
      cellHeight={options.cellHeight}
      enablePagination={options.enablePagination}
      enableVirtualization={false}
      enableSharedCrosshair={false}
    />
  );
}

function Text({ options, replaceVariables }: PanelProps) {
  const content = replaceVariables(options.content);
  const html = options.mode === 'markdown' ? renderTextPanelMarkdown(content) : textUtil.sanitize(content);
  if (options.mode === 'code') return <pre>{content}</pre>;
  return <RenderUserContentAsHTML className="markdown-html" content={html} />;
}

export function NoData({ fieldConfig }: Pick<PanelProps, 'fieldConfig'>) {
  return (
    <div style={{ display: 'flex', alignItems: 'center', justifyContent: 'center', height: '100%', opacity: 0.7 }}>
      {fieldConfig.defaults.noValue || 'No data'}
    </div>
  );
}

/** Whether a panel has something to show. One that reduces its data shows its "no value" itself. */
export function hasData(type: string, frames: DataFrame[]): boolean {
  const isGraph = ['timeseries', 'state-timeline'].includes(type);
  return frames.some((frame) => frame.length > 0 && (!isGraph || frame.fields.some((field) => field.type !== FieldType.time)));
}
