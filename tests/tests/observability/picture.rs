//! Pictures of dashboards, for people who look whether they make sense: `target/dashboards/NAME.svg`.

use std::fmt::Write;

/// One graph: its title, and each query's series as pairs of time and value.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) series: Vec<Vec<(f64, f64)>>,
}

impl Panel {
    /// Whether there is anything to see.
    pub(crate) fn has_value(&self) -> bool {
        self.series.iter().flatten().any(|(_, value)| value.is_finite())
    }
}

const COLUMNS: usize = 4;
/// Of a panel, in pixels.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 170.0;
/// Around a graph, with the title above it.
const MARGIN: f64 = 28.0;
const COLOURS: [&str; 6] = ["#1f60c4", "#37872d", "#c4162a", "#fa6400", "#8f3bb8", "#e0b400"];

/// An SVG with all of them.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let place = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let rows = place(panels.len().div_ceil(COLUMNS));
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='sans-serif' font-size='11'>\n\
         <rect width='100%' height='100%' fill='white'/>\n",
        place(COLUMNS) * WIDTH,
        rows * HEIGHT
    );
    for (number, panel) in panels.iter().enumerate() {
        let (x, y) = (place(number % COLUMNS) * WIDTH, place(number / COLUMNS) * HEIGHT);
        let _ = writeln!(svg, "<g transform='translate({x},{y})'>{}</g>", graph(panel));
    }
    svg + "</svg>\n"
}

fn graph(panel: &Panel) -> String {
    let points = || panel.series.iter().flatten().filter(|(_, value)| value.is_finite());
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let values = points().map(of);
        let both = (f64::INFINITY, f64::NEG_INFINITY);
        values.fold(both, |(low, high), it| (low.min(it), high.max(it)))
    };
    let (begin, end) = bounds(|it| it.0);
    let (low, high) = bounds(|it| it.1);
    let low = low.min(0.0);
    let bounds = if high < low {
        "no value".to_owned()
    } else {
        format!("{low:.4} to {high:.4}")
    };
    let (width, height) = (WIDTH - 2.0 * MARGIN, HEIGHT - 2.0 * MARGIN);
    let along = |at: f64, from: f64, to: f64| if to > from { (at - from) / (to - from) } else { 0.5 };
    let title = panel.title.replace('&', "&amp;").replace('<', "&lt;");
    let mut graph = format!(
        "<text x='{MARGIN}' y='16' font-weight='bold'>{title}</text>\
         <rect x='{MARGIN}' y='{MARGIN}' width='{width}' height='{height}' fill='none' stroke='#ccc'/>\
         <text x='{MARGIN}' y='{}' fill='#666'>{bounds}, {} series</text>",
        HEIGHT - 12.0,
        panel.series.len()
    );
    for (series, colour) in panel.series.iter().zip(COLOURS.iter().cycle()) {
        let line: Vec<_> = series
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(time, value)| {
                let x = MARGIN + width * along(*time, begin, end);
                let y = MARGIN + height * (1.0 - along(*value, low, high));
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = write!(
            graph,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='1.5'/>",
            line.join(" ")
        );
    }
    graph
}

#[test]
fn every_panel_and_each_of_its_points_is_in_the_picture() {
    let panel = |title: &str, series| Panel {
        title: title.to_owned(),
        series,
    };
    let svg = draw(&[
        panel(
            "A < B",
            vec![vec![(0.0, 0.0), (1.0, 2.0), (2.0, f64::NAN)], vec![(0.0, 1.0)]],
        ),
        panel("none", Vec::new()),
    ]);
    assert!(svg.contains("A &lt; B") && svg.contains(">none<"), "{svg}");
    assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
    // The lowest at the bottom of the graph, the highest at its top.
    assert!(svg.contains("points='28.0,142.0 292.0,28.0'"), "{svg}");
    assert!(svg.contains("0.0000 to 2.0000, 2 series"), "{svg}");
}
