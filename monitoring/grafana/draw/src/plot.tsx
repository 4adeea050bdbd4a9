// A uPlot chart with Grafana's axes, scales and legend, whose marks are painted by the panels that @grafana/ui lacks.
import type { GrafanaTheme2 } from '@grafana/data';
import { UPlotChart, UPlotConfigBuilder, VizLayout, VizLegend, type VizLegendItem } from '@grafana/ui';
import { useMemo } from 'react';
import type uPlot from 'uplot';

interface Props {
  width: number;
  height: number;
  configure: (builder: UPlotConfigBuilder) => void;
  data: uPlot.AlignedData;
  paint: (canvas: Canvas) => void;
  legend?: any;
  legendItems?: VizLegendItem[];
}

export function Plot({ width, height, configure, data, paint, legend, legendItems = [] }: Props) {
  const config = useMemo(() => {
    const builder = new UPlotConfigBuilder('utc');
    configure(builder);
    builder.setPrepData(() => data);
    builder.addHook('draw', (plot: uPlot) => paint(new Canvas(plot)));
    return builder;
  }, []);
  const legendElement =
    legend?.showLegend && legendItems.length ? (
      <VizLayout.Legend placement={legend.placement} width={legend.width}>
        <VizLegend placement={legend.placement} displayMode={legend.displayMode} items={legendItems} readonly />
      </VizLayout.Legend>
    ) : null;
  return (
    <VizLayout width={width} height={height} legend={legendElement}>
      {(plotWidth, plotHeight) => <UPlotChart config={config} data={data} width={plotWidth} height={plotHeight} />}
    </VizLayout>
  );
}

/** Paints in CSS pixels, within the plot area. */
export class Canvas {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;

  constructor(private readonly plot: uPlot) {
    const { left, top, width, height } = plot.bbox;
    [this.left, this.top, this.width, this.height] = [left, top, width, height].map((value) => value / devicePixelRatio);
  }

  /** The pixel of a value, from the left or the top of the whole chart. */
  at(value: number, scale: string): number {
    return this.plot.valToPos(value, scale, true) / devicePixelRatio;
  }

  paint(draw: (context: CanvasRenderingContext2D) => void) {
    const context = this.plot.ctx;
    context.save();
    context.scale(devicePixelRatio, devicePixelRatio);
    context.beginPath();
    context.rect(this.left, this.top, this.width, this.height);
    context.clip();
    draw(context);
    context.restore();
  }
}

export function setFont(context: CanvasRenderingContext2D, theme: GrafanaTheme2, size = 12) {
  context.font = `${size}px ${theme.typography.fontFamily}`;
  context.textBaseline = 'middle';
}
