//! The planner against the table it must reproduce and against its own promises.

use std::time::Duration;

use proptest::prelude::*;
use rehearsekit_audio::Budget;

use super::*;
use crate::manifest::built_in;

const RATE: SampleRate = SampleRate::HZ_44100;

fn family(name: &str) -> Family {
    built_in().into_iter().find(|m| m.name == name).map(|m| m.family).unwrap()
}

fn request<'a>(rate: SampleRate, budget: &str, speed: DeviceSpeed<'a>) -> PlanRequest<'a> {
    PlanRequest {
        rate,
        budget_frames: budget.parse::<Budget>().unwrap().frames(rate),
        block_frames: 0,
        link_frames: 0,
        speed,
        overrides: Overrides::default(),
    }
}

fn slow_cpu() -> CostTable {
    let hops = UNET_HOPS.map(|hop| (format!("columns-64-hop-{hop}"), Duration::from_millis(16 + hop as u64)));
    let windows = [(56, 320), (84, 490), (112, 720), (168, 1_100), (336, 3_000)];
    let windows = windows.map(|(t, millis)| (format!("columns-{t}"), Duration::from_millis(millis)));
    hops.into_iter().chain(windows).collect()
}

#[test]
fn a_geometry_has_the_latency_of_the_formula() {
    let Family::SpectralUnet(settings) = family("spleeter-2stems") else { panic!("family") };
    // DESIGN §5: hop, look-ahead, P, algorithmic latency in ms.
    for (hop, look_ahead, effective, millis) in
        [(1, 0, 2048, 46), (1, 0, 3072, 70), (1, 1, 3072, 93), (4, 0, 3072, 139), (8, 4, 4096, 348)]
    {
        let geometry = unet_geometry(&settings, 64, hop, look_ahead, effective);
        let shape = Geometry::Unet(geometry).shape();
        let frames = PipelineShape::new(shape, RATE, RATE).algorithmic_frames(1024);
        assert_eq!(frames as usize, effective + (look_ahead + hop - 1) * 1024);
        assert_eq!((frames as f64 / 44.1).round() as u32, millis);
    }
}

#[test]
fn a_hybrid_costs_hop_and_look_ahead() {
    let geometry = HybridGeometry {
        columns: 84,
        hop_frames: 28_672,
        look_ahead_frames: 4096,
        fade_frames: 1024,
        share_residual: true,
    };
    let shape = Geometry::Hybrid(geometry).shape();
    assert_eq!(PipelineShape::new(shape, RATE, RATE).algorithmic_frames(1024), 28_672 + 4096);
}

#[test]
fn simulated_time_spends_the_whole_budget_on_quality() {
    let unet = family("spleeter-2stems");
    let best = |budget| plan(&unet, RATE, &request(RATE, budget, DeviceSpeed::Ideal)).unwrap();
    let Geometry::Unet(at_93) = best("93ms").geometry else { panic!("family") };
    assert_eq!((at_93.hop, at_93.look_ahead, at_93.effective_frames), (1, 1, 3072));
    let Geometry::Unet(at_46) = best("46ms").geometry else { panic!("family") };
    assert_eq!((at_46.hop, at_46.look_ahead, at_46.effective_frames), (1, 0, 2028));
    let hybrid = plan(&family("htdemucs"), RATE, &request(RATE, "500ms", DeviceSpeed::Ideal)).unwrap();
    let Geometry::Hybrid(hybrid) = hybrid.geometry else { panic!("family") };
    assert_eq!(hybrid.columns, 336);
}

#[test]
fn a_slow_device_gets_what_it_can_hold() {
    let costs = slow_cpu();
    let speed = DeviceSpeed::Measured(&costs);
    let unet = plan(&family("spleeter-2stems"), RATE, &request(RATE, "250ms", speed)).unwrap();
    assert!(unet.inference.as_secs_f64() < LOAD_LIMIT * f64::from(unet.hop_frames) / 44_100.0);
    let hybrid = plan(&family("htdemucs"), RATE, &request(RATE, "1.5s", speed)).unwrap();
    let Geometry::Hybrid(g) = &hybrid.geometry else { panic!("family") };
    assert_eq!(g.columns, 84, "{hybrid:?}");
    assert_eq!(
        plan(&family("htdemucs"), RATE, &request(RATE, "1.5s", DeviceSpeed::Measured(&CostTable::new()))),
        Err(PlanRefusal::DeviceTooSlow)
    );
}

#[test]
fn a_window_that_is_not_there_is_named() {
    let overrides = Overrides { window: Some(85), ..Overrides::default() };
    let asked = PlanRequest { overrides, ..request(RATE, "1s", DeviceSpeed::Ideal) };
    let refusal = plan(&family("htdemucs"), RATE, &asked).unwrap_err().to_string();
    assert!(refusal.contains("85") && refusal.contains("56, 84, 112, 168, 336"), "{refusal}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What is planned fits; what is refused says what would fit, and that does.
    #[test]
    fn the_suggestion_of_a_refusal_is_accepted(
        millis in 1u32..2_000, rate in prop::sample::select(vec![44_100u32, 48_000, 32_000]),
        block in 1u32..2_048, link in 0u32..2_000, hybrid: bool, measured: bool,
    ) {
        let costs = slow_cpu();
        let speed = if measured { DeviceSpeed::Measured(&costs) } else { DeviceSpeed::Ideal };
        let rate = SampleRate::new(rate).unwrap();
        let family = family(if hybrid { "htdemucs" } else { "spleeter-2stems" });
        let mut asked = PlanRequest {
            rate, budget_frames: millis * rate.hz() / 1000, block_frames: block, link_frames: link, speed,
            overrides: Overrides::default(),
        };
        let planned = match plan(&family, RATE, &asked) {
            Ok(planned) => planned,
            Err(PlanRefusal::BudgetTooSmall { smallest_budget_frames, .. }) => {
                prop_assert!(smallest_budget_frames > asked.budget_frames);
                asked.budget_frames = smallest_budget_frames;
                plan(&family, RATE, &asked).unwrap()
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        prop_assert!(planned.needed_frames <= asked.budget_frames);
        prop_assert_eq!(planned.latency_frames, asked.budget_frames);
        prop_assert!(planned.algorithmic_frames + block + link <= planned.needed_frames);
    }
}
