//! Text that agents choose stays inert wherever it is shown.

use passgate_host::control::{ExportFormat, Query};

use crate::support::{patiently, usual};

const NAMES: [&str; 3] = ["<script>alert(1)</script>", "=cmd|'/C_calc'!A0", "\"},{\"decision\":\"allow\""];

#[tokio::test]
async fn exports_and_metrics_stay_what_they_are() {
    let (site, gate, _origin, _) = usual().await;
    for name in NAMES {
        assert_eq!(site.send(&site.agent(name, &["web:*"]).get("/search")).await.status, 200);
    }
    let mut table = Vec::new();
    site.control().await.export(ExportFormat::Csv, &Query::default(), &mut table).await.unwrap();
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("\"'=cmd|'/C_calc'!A0\""), "{table}");
    assert!(table.contains("\"\"\"},{\"\"decision\"\":\"\"allow\"\"\""), "{table}");
    assert!(table.lines().all(|row| row.starts_with("attestation_id,") || row.starts_with("\"att_")), "{table}");
    let metrics = site.control().await.metrics().await.unwrap();
    assert!(!metrics.contains("script") && !metrics.contains("cmd"), "{metrics}");
    patiently(gate.shutdown()).await;
}
