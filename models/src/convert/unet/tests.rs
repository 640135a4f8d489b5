//! Receptive fields, refusals, and the graph as a file.

use super::*;

/// A doubling in one dimension, all weights told apart: the whole, to compare a part with.
fn double(input: &[f64], wanted: Range<usize>, pads_near: usize) -> Vec<f64> {
    let kernel = [1.0, 0.5, 0.25, 0.125, 0.0625];
    let mut made = vec![0.0; 2 * input.len() + 3];
    for (i, value) in input.iter().enumerate() {
        for (k, weight) in kernel.iter().enumerate() {
            made[2 * i + k] += value * weight;
        }
    }
    made[pads_near..pads_near + wanted.len()].to_vec()
}

#[test]
fn a_cropped_doubling_is_the_same_part_of_the_whole() {
    for available in [1, 2, 4, 7] {
        let input: Vec<f64> = (0..available).map(|i| f64::from(i as u32 + 1)).collect();
        let whole = double(&input, 0..2 * available, 1);
        for start in 0..2 * available {
            for end in start + 1..=2 * available {
                let reach = reach_of_doubling(&(start..end), available);
                let part = double(&input[reach.input.clone()], start..end, reach.pads.0);
                assert_eq!(part, whole[start..end], "{start}..{end} of {}", 2 * available);
                let made = 2 * reach.input.len() + 3;
                assert_eq!(made - reach.pads.0 - reach.pads.1, end - start);
            }
        }
    }
}

#[test]
fn the_last_convolution_reaches_three_to_each_side() {
    let reach = reach_of_last(&(10..12), 64);
    assert_eq!((reach.input, reach.pads), (7..15, (0, 0)));
    let reach = reach_of_last(&(1..64), 64);
    assert_eq!((reach.input, reach.pads), (0..64, (2, 3)));
}

fn zeros() -> BTreeMap<String, Tensor> {
    needed_tensors()
        .into_iter()
        .map(|(name, shape)| {
            let values = vec![0.0; shape.iter().product()];
            (name, Tensor::new(&shape, &values))
        })
        .collect()
}

#[test]
fn incomplete_weights_and_impossible_windows_are_refused_by_name() {
    let mut lacking = zeros();
    lacking.remove("up3.0.bias");
    let error = UnetWeights::new(vec![("vocals".to_owned(), lacking)]).unwrap_err().to_string();
    assert_eq!(error, "the weights of vocals lack the tensor up3.0.bias");

    let mut wrong = zeros();
    wrong.insert("up7.0.bias".to_owned(), Tensor::new(&[3], &[0.0; 3]));
    let error = UnetWeights::new(vec![("vocals".to_owned(), wrong)]).unwrap_err().to_string();
    assert_eq!(error, "tensor vocals/up7.0.bias has the shape [3], but [2] is needed");

    let weights = UnetWeights::new(vec![("vocals".to_owned(), zeros())]).unwrap();
    assert!(unet_graph(&weights, 65, 0..1, Doubling::default()).is_err());
    assert!(unet_graph(&weights, 64, 3..3, Doubling::default()).is_err());
    assert!(unet_graph(&weights, 64, 60..65, Doubling::default()).is_err());
}

#[test]
fn a_graph_declares_its_tensors_and_reads_back_whole() {
    let nets = ["a", "b", "c", "d"].map(|stem| (stem.to_owned(), zeros())).to_vec();
    let weights = UnetWeights::new(nets).unwrap();
    let bytes = unet_graph(&weights, 64, 63..64, Doubling::default()).unwrap();
    let model = ModelProto::decode(bytes.as_slice()).unwrap();
    let graph = model.graph.as_ref().unwrap();
    assert_eq!(graph.input[0], ValueInfoProto::batched_floats("magnitude", &[2, 64, 1024]));
    assert_eq!(graph.output[0], ValueInfoProto::batched_floats("masks", &[8, 1, 1024]));
    assert_eq!(model.encode_to_vec(), bytes);

    let stems = ["a", "b", "c", "d"];
    let again = UnetWeights::from_tensors(&stems, &weights.to_tensors(&stems)).unwrap();
    assert_eq!(unet_graph(&again, 64, 63..64, Doubling::default()).unwrap(), bytes);
}
