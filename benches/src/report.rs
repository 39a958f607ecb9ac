//! What the README shows of `side_by_side`: a table, and a chart as SVG.

use std::fmt::Write as _;
use std::path::Path;

/// What was measured of one program: how many times as long as the first engine each of them takes, in their order.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The program, or `geomean`.
    pub name: String,
    /// Microseconds of a run on the first engine; none of a mean.
    pub micros: Option<f64>,
    /// `None` where an engine does not run it.
    pub times: Vec<Option<f64>>,
}

/// How an engine is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Series {
    /// Its column, and what the legend says.
    pub title: &'static str,
    /// Colour of its dots, as SVG takes it.
    pub colour: &'static str,
    /// Place among the engines that were measured.
    pub column: usize,
}

/// Where the table stands in the README: between this line and the next.
const START: &str = "<!-- made by: cargo bench -p ring3-benches --bench side_by_side -- --write -->";
const END: &str = "<!-- up to here -->";

/// Puts the table into the README.
pub fn write_table(readme: &Path, first: &str, series: &[Series], rows: &[Row]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", readme.display());
    let text = std::fs::read_to_string(readme).map_err(failed)?;
    let (Some(start), Some(end)) = (text.find(START), text.find(END)) else {
        return Err(format!("{} has no place for the table", readme.display()));
    };
    let table = table(first, series, rows);
    let new = format!("{}{START}\n\n{table}\n{}", &text[..start], &text[end..]);
    std::fs::write(readme, new).map_err(failed)
}

/// As Markdown.
pub fn table(first: &str, series: &[Series], rows: &[Row]) -> String {
    let mut out = format!("| program | {first} |");
    for Series { title, .. } in series {
        let _ = write!(out, " {title} |");
    }
    out.push_str("\n|---|---:|");
    out.push_str(&"---:|".repeat(series.len()));
    out.push('\n');
    for row in rows {
        let bold = if row.micros.is_none() { "**" } else { "" };
        let name = if row.micros.is_some() { format!("`{}`", row.name) } else { format!("**{}**", row.name) };
        let micros = row.micros.map_or(String::new(), |micros| format!("{micros:.2} µs"));
        let _ = write!(out, "| {name} | {micros} |");
        for Series { column, .. } in series {
            let cell = row.times.get(*column).copied().flatten();
            let _ = write!(out, " {} |", cell.map_or(String::new(), |times| format!("{bold}{times:.2}{bold}")));
        }
        out.push('\n');
    }
    out
}

const WIDTH: f64 = 880.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 84.0;
const ROW: f64 = 22.0;
/// What the axis shows.
const LEAST: f64 = 0.125;
const MOST: f64 = 16.0;

/// Where a number is on the logarithmic axis; what is beyond its ends is at them.
fn x(times: f64) -> f64 {
    let share = (times.clamp(LEAST, MOST) / LEAST).log2() / (MOST / LEAST).log2();
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

/// As a chart: a line for each program, and a dot on it for each engine.
pub fn chart(title: &str, series: &[Series], rows: &[Row]) -> String {
    let height = TOP + ROW * rows.len() as f64 + 40.0;
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\" fill=\"#1f2328\">{title}</text>\n"
    );
    let mut at = 16.0;
    for Series { title, colour, .. } in series {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"48\" r=\"5\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"52.5\" fill=\"#1f2328\">{title}</text>",
            at + 5.0,
            at + 16.0
        );
        at += 34.0 + 7.2 * title.len() as f64;
    }
    let mut tick = LEAST;
    while tick <= MOST {
        let (place, one) = (x(tick), tick == 1.0);
        let (colour, width) = if one { ("#57606a", 1.5) } else { ("#d8dee4", 1.0) };
        let _ = writeln!(
            svg,
            "<line x1=\"{place:.1}\" y1=\"{TOP}\" x2=\"{place:.1}\" y2=\"{bottom}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\
             <text x=\"{place:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#57606a\">{tick}</text>",
            bottom + 20.0
        );
        tick *= 2.0;
    }
    for (place, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (place as f64 + 0.5);
        let weight = if row.micros.is_none() { "600" } else { "400" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-weight=\"{weight}\" fill=\"#1f2328\">{}</text>\
             <line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#eaeef2\"/>",
            LEFT - 10.0,
            y + 4.5,
            row.name,
            WIDTH - RIGHT
        );
        // The first is drawn last, to be on top.
        for Series { title, colour, column } in series.iter().rev() {
            if let Some(times) = row.times.get(*column).copied().flatten() {
                let beyond = if times > MOST { " opacity=\"0.5\"" } else { "" };
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"{beyond}><title>{title}: {times:.2}</title></circle>",
                    x(times)
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> (Vec<Series>, Vec<Row>) {
        let series = vec![
            Series { title: "ring3", colour: "#0969da", column: 1 },
            Series { title: "another", colour: "#cf222e", column: 2 },
        ];
        let rows = vec![
            Row { name: "sort".to_owned(), micros: Some(1.5), times: vec![Some(1.0), Some(1.25), None] },
            Row { name: "geomean".to_owned(), micros: None, times: vec![Some(1.0), Some(0.5), Some(40.0)] },
        ];
        (series, rows)
    }

    #[test]
    fn a_table_has_a_cell_for_each_engine() {
        let (series, rows) = rows();
        let want = "| program | clang -O2 | ring3 | another |\n|---|---:|---:|---:|\n| `sort` | 1.50 µs | 1.25 |  |\n\
                    | **geomean** |  | **0.50** | **40.00** |\n";
        assert_eq!(table("clang -O2", &series, &rows), want);
    }

    /// Larger numbers are further to the right, up to the end, where those beyond it are.
    #[test]
    fn a_chart_has_a_dot_for_each_number() {
        let (series, rows) = rows();
        let chart = chart("title", &series, &rows);
        assert_eq!(chart.matches("<title>").count(), 3);
        assert!(x(0.5) < x(1.0) && x(1.0) < x(1.25) && x(40.0) == x(MOST));
        assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>\n"));
    }
}
